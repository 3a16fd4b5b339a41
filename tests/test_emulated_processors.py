"""The loader on processors that this machine may not be, under qemu's user-mode emulation."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fomaml_fast._loader import ISA_VARIABLE, compiled_isas

QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")

#: A processor, and the best instruction set it runs.
PROCESSORS = {"Nehalem": "x86_64_v2", "Haswell": "x86_64_v3"}

PROGRAM = """
import numpy as np, fomaml_fast as ff
net = ff.MLP([1, 20, 1], activation="tanh")
x = np.linspace(-1, 1, 40).reshape(4, 10, 1)
batch = ff.TaskBatch(x, np.sin(3 * x), x + 0.1, np.sin(3 * x + 0.3))
result = ff.meta_grad(net, net.init(0, dtype=np.float64), batch, ff.maml(lr=0.1, steps=2))
print(ff.build_info()["isa"], *(number.hex() for number in result.grad.tolist()))
"""


def run(*emulator, **more):
    environment = {key: value for key, value in os.environ.items() if key != ISA_VARIABLE}
    done = subprocess.run(
        [*emulator, sys.executable, "-c", PROGRAM],
        env={**environment, "FOMAML_FAST_NUM_THREADS": "1", **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    isa, *numbers = done.stdout.split()
    return isa, np.array([float.fromhex(number) for number in numbers])


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_processor_gets_the_best_it_runs(processor):
    if QEMU is None:
        pytest.skip("needs qemu-x86_64 (Debian: qemu-user-static)")
    isa = PROCESSORS[processor]
    if isa not in compiled_isas():
        pytest.skip(f"{isa} is not among the compiled instruction sets: {compiled_isas()}")
    # NumPy's OpenBLAS may take an emulated processor for a newer one, and dies of it.
    chosen, grad = run(QEMU, "-cpu", processor, OPENBLAS_CORETYPE=processor)
    assert chosen == isa
    # Vectors of another width add in another order: rounding is all that may differ.
    _, here = run()
    np.testing.assert_allclose(grad, here, rtol=0, atol=1e-13 * np.abs(here).max())
