"""Compiles every fused kernel for GPUs that are not there and prints, as JSON, what the compilers said. Run by a test.

Its own process: kernels are compiled, not interpreted, and the cache is a folder that goes away with the test.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from var_mini.attention import fused

TARGETS = {"sm_80": GPUTarget("cuda", 80, 32), "sm_90": GPUTarget("cuda", 90, 32), "gfx942": GPUTarget("hip", "gfx942", 64)}
TYPES = {"float32": ("*fp32", "tf32x3"), "bfloat16": ("*bf16", "tf32"), "float16": ("*fp16", "tf32")}
SIZES = ("heads", "n", "per_part", "m")


def sources(head_dim: int, dtype: str, hip: bool):
    """(name, source, warps) of all four kernels, as the launchers call them."""
    pointer, kind = TYPES[dtype]
    inputs = {"q": pointer, "k": pointer, "v": pointer, "out": pointer}
    for method, kernels in (
        ("poly", (fused.poly2_keys, fused.poly2_queries)),
        ("landmark", (fused.landmark_keys, fused.landmark_queries)),
    ):
        tile, warps = fused.TILES[method, head_dim]
        known = {"D": head_dim, "T": tile, "M": fused.LANDMARK_BLOCK, "C": fused.padded(head_dim + 1)}
        known["P"] = fused.padded(head_dim + (method == "poly"))
        known["PRECISION"] = "ieee" if hip else "tf32x3" if method == "landmark" else kind
        for kernel in kernels:
            signature, constants = {}, {}
            for name in kernel.arg_names:
                if name in known:
                    signature[name], constants[name] = "constexpr", known[name]
                elif name in SIZES or re.fullmatch(r"[qkvo]_[bhnd]", name):
                    signature[name] = "i32"
                else:
                    signature[name] = inputs.get(name, "*fp32")
            yield kernel.fn.__name__, ASTSource(kernel, signature, constants), warps


def assembled(ptx: str) -> dict:
    """Registers and bytes of spills, as NVIDIA's assembler (of Triton's own package) counts them."""
    architecture = re.search(r"\.target (\w+)", ptx).group(1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        program = get_ptxas(int(re.search(r"\d+", architecture).group())).path
        command = [
            program,
            "-v",
            "--regAllocOptLevel=2",
            f"--gpu-name={architecture}",
            source,
            "-o",
            Path(folder) / "kernel.cubin",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = [int(number) for number in re.findall(r"(\d+) bytes spill", said)]
    return {"registers": int(re.search(r"Used (\d+) registers", said).group(1)), "spilled": sum(spilled), "counted": len(spilled)}


def main(cases: list[str]) -> None:
    results = []
    for case in cases:
        target, head_dim, dtype = case.split(":")
        hip = target.startswith("gfx")
        for name, source, warps in sources(int(head_dim), dtype, hip):
            made = triton.compile(source, target=TARGETS[target], options={"num_warps": warps})
            code = made.asm["amdgcn" if hip else "ptx"]
            found = {"target": target, "head_dim": int(head_dim), "dtype": dtype, "kernel": name, "shared": made.metadata.shared}
            found["tensor_cores"] = len(re.findall(r"v_mfma_\w+" if hip else r"(?:wgmma\.mma_async|mma\.sync)", code))
            if hip:
                found["spilled"] = sum(map(int, re.findall(r"\.(?:v|s)gpr_spill_count:\s*(\d+)", code)))
                found["counted"] = len(re.findall(r"\.(?:v|s)gpr_spill_count:", code))
            else:
                found |= assembled(code)
            results.append(found)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
