"""Networks that classify pictures: timm's by name, and the paper's for 32 x 32 pictures, registered with timm."""
