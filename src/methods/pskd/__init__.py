"""PS-KD (Kim et al., ICCV 2021) and the methods it is compared with: one training, five losses."""
