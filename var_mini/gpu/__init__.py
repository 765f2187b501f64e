"""`python -m var_mini gpu`: what only a GPU can prove, in parts of limited time, each in a process of its own.

Runs on a bare machine (torch, triton, numpy, safetensors, accelerate), writes one JSON a part and all of them as gpu.json. With
`dry` everything runs tiny on the CPU, the kernels in Triton's interpreter: that proves the kit, not a GPU.
"""

# in order of worth -> share of the time; what a part does not use goes to those behind it
PARTS = {"facts": 0.03, "kernels": 0.15, "generate": 0.15, "scaling": 0.32, "speed": 0.2, "train": 0.15}
