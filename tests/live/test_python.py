"""Python's variants on a real engine: what each of them ships, found by looking into the image."""

import pytest

from shiplight import builds, catalogue
from shiplight.inspection import measure

VARIANTS = [row.variant for row in catalogue.rows() if row.app == "python"]
COMPILERS = ("*/cc1", "*bin/gcc*", "*bin/*-linux-gnu-gcc*", "*bin/as", "*bin/ld")


@pytest.fixture(scope="module")
def image(client):
    """Each variant's image by its name, built and measured once."""
    images = {}

    def measured(variant: str):
        if variant not in images:
            tag = builds.build(client, f"python/{variant}").tag
            images[variant] = measure(client, tag)
        return images[variant]

    return measured


def found(image, *patterns: str) -> list[str]:
    return [path for pattern in patterns for path in image.find(pattern)]


def hidden_wheels(image) -> list:
    return [item for item in image.buried if item.path.startswith("wheels/")]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "single"])
def test_only_the_single_stage_ships_a_compiler(image, variant):
    assert found(image("single"), "*/cc1") and found(image("single"), "*/ffi.h")
    assert not found(image(variant), *COMPILERS, "*/ffi.h")


@pytest.mark.parametrize("variant", ["single", "multi", "mounted", "slimmest"])
def test_the_dependency_was_compiled_here_against_debians_own_libffi(client, image, variant):
    assert found(image(variant), "*/site-packages/_cffi_backend.cpython-313-x86_64-linux-gnu.so")
    assert not found(image(variant), "*libffi-*.so*"), "a published wheel brings a copy of its own"


def test_wheels_that_are_removed_in_the_next_instruction_ship_all_the_same(image):
    multi, mounted = image("multi"), image("mounted")
    hidden = hidden_wheels(multi)
    assert not multi.find("wheels*") and all(item.path.endswith(".whl") for item in hidden)
    assert any("pydantic_core" in item.path for item in hidden)
    [added] = {item.added_by for item in hidden}
    [buried] = {item.buried_by for item in hidden}
    instruction = multi.layers[added].instruction
    assert instruction.startswith("COPY ") and instruction.endswith(" /wheels")
    assert multi.layers[buried].instruction.endswith("rm -rf /wheels")
    assert sum(item.bytes for item in hidden) == multi.layers[added].unpacked_bytes
    assert not hidden_wheels(mounted) and not mounted.find("wheels/*")
    spared = multi.unpacked_bytes - mounted.unpacked_bytes
    assert spared == pytest.approx(multi.layers[added].unpacked_bytes, rel=0.05)


def test_the_compiler_is_what_two_stages_leave_behind(image):
    single, mounted = image("single"), image("mounted")
    [compiler] = [layer for layer in single.layers if "install -y gcc" in layer.instruction]
    saved = single.unpacked_bytes - mounted.unpacked_bytes
    assert saved == pytest.approx(compiler.unpacked_bytes, rel=0.05)


def test_without_a_compiled_dependency_a_second_stage_gains_nothing(image):
    single, multi = image("pure-single"), image("pure-multi")
    assert abs(1 - multi.unpacked_bytes / single.unpacked_bytes) < 0.05
    assert not found(single, *COMPILERS, "*/_cffi_backend*")


def test_slimmest_has_an_interpreter_and_neither_shell_nor_pip_in_ninety_megabytes(image):
    slimmest = image("slimmest")
    assert slimmest.unpacked_bytes <= 90_000_000, slimmest
    assert slimmest.user == "65532" and found(slimmest, "venv/bin/python", "usr/bin/python3.13")
    pip = ("*/site-packages/pip/*", "*/bin/pip*", "*.whl", "usr/bin/sh", "bin/sh", "*bin/dpkg")
    assert not found(slimmest, *pip)
    assert found(image("mounted"), "*/site-packages/pip/*", "*/bin/pip*", "usr/bin/sh")


@pytest.mark.parametrize("variant", ["multi", "mounted", "slimmest", "pure-multi"])
def test_a_company_s_certificates_stay_in_the_stages_that_build(image, variant):
    assert not found(image(variant), "usr/local/share/shiplight*")
    assert "PIP_CERT" not in image(variant).env
