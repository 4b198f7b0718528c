"""twostage: the two-stage nature of flow-based diffusion models, measured.

Reference reproduction of "From Navigation to Refinement: Revealing the Two-Stage Nature of Flow-based Diffusion
Models through Oracle Velocity" (arXiv 2512.02826). Time runs from the prior (t = 0) to the data (t = 1).
"""

__version__ = "0.1.0"
