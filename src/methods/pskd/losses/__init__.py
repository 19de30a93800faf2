"""One loss per file; `method.loss._target_` names it."""
