"""The paper's own numbers (arXiv 2512.02826), to stand beside a run's.

Tables are as printed. Curves were read off the authors' published figures to about 0.01 in weight or loss (0.02 in the
steep parts of Fig. 3b); the time of a point is its grid time. They come from ImageNet at 256 pixels: D = 8192 (VA-VAE),
D = 4096 (SD-VAE), about 1,300 images per class.
"""

DIMENSION = {"VA-VAE": 8192, "SD-VAE": 4096}
IMAGES = 1300  # per class, about
READING = 0.01  # error of a point read off a figure, of a weight or loss
SETTING = "ImageNet 256 px, VA-VAE (D = 8192) and SD-VAE (D = 4096) latents, about 1,300 images per class"

# Fig. 2a: MSE between the CFM target and the class-conditional oracle target, (t, MSE).
FIG2A = {
    "VA-VAE": ((0.0, 0.43), (0.02, 0.43), (0.04, 0.39), (0.06, 0.21), (0.08, 0.04), (0.1, 0.0)),
    "SD-VAE": ((0.0, 0.95), (0.02, 0.95), (0.04, 0.81), (0.06, 0.41), (0.08, 0.08), (0.1, 0.0)),
}
# Fig. 2a near t = 1: the small rise.
FIG2A_TAIL = ((0.95, 0.0008), (0.98, 0.0034), (0.99, 0.009), (1.0, 0.025))
# Fig. 2b: top-1 posterior weight, (t, weight).
FIG2B = {
    "VA-VAE": ((0.02, 0.015), (0.04, 0.15), (0.06, 0.54), (0.08, 0.88), (0.1, 0.99)),
    "SD-VAE": ((0.02, 0.03), (0.04, 0.29), (0.06, 0.71), (0.08, 0.95), (0.1, 1.0)),
}
# Fig. 3: top-1 posterior weight on unit Gaussians, {(D, N): (t, weight)}. The six pairs of the paper.
FIG3_DIMENSION = {
    (512, 1400): ((0.10, 0.19), (0.12, 0.39), (0.16, 0.81), (0.18, 0.92), (0.20, 0.98)),
    (2048, 1400): ((0.04, 0.09), (0.06, 0.23), (0.08, 0.53), (0.10, 0.84), (0.12, 0.99)),
    (8192, 1400): ((0.02, 0.04), (0.04, 0.16), (0.06, 0.68), (0.08, 0.98)),
}
FIG3_SIZE = {
    (1024, 100): ((0.02, 0.06), (0.04, 0.14), (0.06, 0.30), (0.08, 0.54), (0.10, 0.78), (0.12, 0.95), (0.14, 0.99)),
    (1024, 1000): ((0.04, 0.04), (0.06, 0.12), (0.08, 0.27), (0.10, 0.55), (0.12, 0.82), (0.14, 0.94), (0.16, 0.99)),
    (1024, 10000): ((0.06, 0.04), (0.08, 0.13), (0.10, 0.31), (0.12, 0.64), (0.14, 0.86), (0.16, 0.96), (0.18, 0.99)),
}
# Fig. 7a: the model's MSE against the oracle target and against the CFM target (VA-VAE), (t, MSE).
FIG7A_ORACLE = (
    (0.0, 0.002), (0.02, 0.004), (0.04, 0.05), (0.06, 0.21), (0.08, 0.34), (0.1, 0.36), (0.2, 0.29), (0.3, 0.26),
    (0.4, 0.255), (0.5, 0.26), (0.6, 0.29), (0.7, 0.34), (0.8, 0.43), (0.9, 0.62), (1.0, 1.02),
)  # fmt: skip
FIG7A_CFM = ((0.0, 0.43), (0.02, 0.44), (0.04, 0.43), (0.06, 0.41), (0.08, 0.39), (0.1, 0.37), (1.0, 0.99))
# Fig. 7b: oracle loss of the sizes at the bottom of the dip, t = 0.4; XL* trained longer.
FIG7B_DIP = {"S": 0.267, "B": 0.255, "XL": 0.243, "XL*": 0.222}
# Fig. 9: the oracle loss of the last snapshot (160K steps) in refinement, (t, MSE), read off to about 0.003.
FIG9 = {
    "VA-VAE": (
        (0.1, 0.363), (0.15, 0.324), (0.2, 0.295), (0.25, 0.277), (0.3, 0.265), (0.35, 0.259), (0.4, 0.256),
        (0.45, 0.259), (0.5, 0.264), (0.55, 0.275), (0.6, 0.289), (0.65, 0.312), (0.7, 0.341), (0.75, 0.381),
        (0.8, 0.435), (0.85, 0.514), (0.9, 0.625), (0.95, 0.792), (1.0, 1.022),
    ),
    "SD-VAE": (
        (0.1, 0.872), (0.15, 0.867), (0.2, 0.873), (0.25, 0.887), (0.3, 0.904), (0.35, 0.919), (0.4, 0.930),
        (0.45, 0.938), (0.5, 0.940), (0.55, 0.936), (0.6, 0.930), (0.65, 0.923), (0.7, 0.921), (0.75, 0.922),
        (0.8, 0.934), (0.85, 0.951), (0.9, 0.979), (0.95, 1.010), (1.0, 1.037),
    ),
}  # fmt: skip

# Table 1: gFID@50K by split and the models of stage 1 and stage 2.
TABLE1 = {
    ("XL", "XL"): {0.1: 2.94, 0.2: 2.60},
    ("B", "XL"): {0.1: 3.71, 0.2: 4.47},
    ("XL", "B"): {0.1: 11.26, 0.2: 9.24},
    ("B", "B"): {0.1: 12.45, 0.2: 12.01},
}

# Table 2: share of the 50 step starts with t' <= 0.2, and gFID@50K, by shift (LightningDiT-B/1).
TABLE2 = {
    4.0: (0.06, 18.89), 2.0: (0.12, 14.82), 1.0: (0.22, 12.99), 0.7: (0.28, 12.46), 0.5: (0.34, 12.23),
    0.3: (0.46, 12.66), 0.1: (0.72, 19.91),
}  # fmt: skip
# Share of the 50 step starts before the paper's stage split, by shift: from the shift's formula.
SPLIT = 0.1
TABLE2_BEFORE_SPLIT = {
    s: sum(s * (k / 50) / (1 + (s - 1) * (k / 50)) <= SPLIT + 1e-9 for k in range(50)) / 50 for s in TABLE2
}
# Table 3: gFID@50K without guidance, on the short intervals (their order is recovered: likely, not certain), and on the
# wide ones, whose ends were lost.
TABLE3_NONE = 12.99
TABLE3_SHORT = {
    (0.0, 0.1): 6.33, (0.1, 0.2): 5.21, (0.2, 0.3): 7.70, (0.3, 0.4): 9.39, (0.4, 0.5): 10.39, (0.5, 0.6): 10.59,
    (0.6, 0.7): 11.06, (0.7, 0.8): 11.38, (0.8, 0.9): 11.64, (0.9, 1.0): 12.20,
}  # fmt: skip
TABLE3_WIDE = (10.79, 6.62, 8.03, 9.19, 10.14, 3.54, 4.16, 2.82, 2.80, 2.86, 2.97)
