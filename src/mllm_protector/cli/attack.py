"""``mllm-protector attack``: write benchmark folders that attack a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mllm_protector.cli import options

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Write attacks as benchmark folders, for `evaluate` to read.\n\nExample:\n\n"
    "    mllm-protector attack typographic --style figstep -o attacks",
)

Out = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="New folder; resumable.")]
Requests = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it at run time)
    typer.Option("--requests", metavar="FILE", help="YAML of requests. (default: mild ones that ship)"),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same files.")]
Font = Annotated[Optional[Path], typer.Option("--font", metavar="FILE", help="A .ttf or .otf file.")]  # noqa: UP045
FontSize = Annotated[Optional[int], typer.Option("--font-size", help="In pixels.")]  # noqa: UP045
Rotation = Annotated[float, typer.Option("--rotation", help="Turn by up to so many degrees.")]
Noise = Annotated[float, typer.Option("--noise", help="Gaussian noise, in grey levels of 255.")]


@app.command("list")
def list_attacks() -> None:
    """Name the attacks, corruptions and text tricks."""
    from mllm_protector.evaluation.attacks.corruptions import CORRUPTIONS
    from mllm_protector.evaluation.attacks.obfuscation import TRICKS
    from mllm_protector.evaluation.attacks.wrapping import WRAPPINGS

    typer.echo("typographic  mm-safetybench, figstep\ncompose      SD and SD+TYPO over pictures")
    typer.echo("adversarial  projected gradient descent on a model's pixels")
    typer.echo(f"corrupt      {', '.join(CORRUPTIONS)}\nplant        instructions of a third party")
    typer.echo(f"obfuscate    {'; '.join((*TRICKS, *WRAPPINGS))}")
    typer.echo("words        word edits against a detector, by a search with a query budget")


@app.command()
def typographic(
    out: Out,
    style: Annotated[str, typer.Option("--style", help="mm-safetybench or figstep.")] = "mm-safetybench",
    requests: Requests = None,
    font: Font = None,
    font_size: FontSize = None,
    rotation: Rotation = 0.0,
    noise: Noise = 0.0,
    seed: Seed = 0,
) -> None:
    """Draw requests as pictures of text."""
    from dataclasses import replace

    from mllm_protector.evaluation.attacks import generators, typography
    from mllm_protector.evaluation.attacks.requests import load_requests

    styles = {"mm-safetybench": typography.MM_SAFETYBENCH, "figstep": typography.FIGSTEP}
    if style not in styles:
        raise typer.BadParameter(f"--style {style!r}: write mm-safetybench or figstep")
    base = styles[style]
    made = replace(base, font=font, font_size=font_size or base.font_size, rotation=rotation, noise=noise)
    typography.load_font(font, 10)  # a bad font ends here, before the folder is there
    write = generators.write_figstep if style == "figstep" else generators.write_mm_safetybench
    _said(write(out, load_requests(requests), made, seed=seed), "pictures", out)


@app.command()
def compose(
    out: Out,
    pictures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--pictures", metavar="DIR", help="Pictures to use. (default: plain drawn scenes)"),
    ] = None,
    requests: Requests = None,
    seed: Seed = 0,
) -> None:
    """Write SD, TYPO and SD+TYPO over given pictures, in the layout of MM-SafetyBench."""
    from mllm_protector.evaluation.attacks import generators, typography
    from mllm_protector.evaluation.attacks.pictures import find_pictures
    from mllm_protector.evaluation.attacks.requests import load_requests

    sources = () if pictures is None else find_pictures(pictures)
    style = typography.MM_SAFETYBENCH
    count = generators.write_mm_safetybench(out, load_requests(requests), style, seed=seed, sources=sources)
    _said(count, "pictures", out)


@app.command("corrupt")
def corrupt_folder(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A benchmark, or a folder of pictures.")],
    out: Out,
    kind: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--kind", metavar="NAME", help="See `attack list`; may be repeated. (default: all)"),
    ] = None,
    strength: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option("--strength", min=1, max=5, help="1 to 5; may be repeated. (default: all)"),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write copies of a folder with its pictures corrupted."""
    from mllm_protector.evaluation.attacks import generators
    from mllm_protector.evaluation.attacks.corruptions import CORRUPTIONS, STRENGTHS

    kinds, strengths = list(dict.fromkeys(kind or CORRUPTIONS)), sorted(set(strength or STRENGTHS))
    _said(generators.write_corrupted(out, source, kinds, strengths, seed=seed), "pictures", out)


@app.command()
def plant(
    out: Out,
    pictures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--pictures", metavar="DIR", help="Benign pictures. (default: plain drawn scenes)"),
    ] = None,
    instructions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--instructions", metavar="FILE", help="YAML. (default: harmless ones that ship)"),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Plant a third party's instructions in benign pictures."""
    from mllm_protector.evaluation.attacks import generators
    from mllm_protector.evaluation.attacks.pictures import find_pictures
    from mllm_protector.evaluation.attacks.requests import load_instructions

    sources = () if pictures is None else find_pictures(pictures)
    _said(generators.write_planted(out, sources, load_instructions(instructions), seed=seed), "samples", out)


@app.command("obfuscate")
def obfuscate_requests(
    out: Out,
    trick: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--trick", metavar="NAME", help="See `attack list`; may be repeated. (default: all)"),
    ] = None,
    requests: Requests = None,
    seed: Seed = 0,
) -> None:
    """Hide what requests say by obfuscations, encodings, other words and company."""
    from mllm_protector.evaluation.attacks import generators
    from mllm_protector.evaluation.attacks.obfuscation import TRICKS
    from mllm_protector.evaluation.attacks.requests import load_requests
    from mllm_protector.evaluation.attacks.wrapping import WRAPPINGS

    tricks = list(dict.fromkeys(trick or (*TRICKS, *WRAPPINGS)))
    _said(generators.write_obfuscated(out, load_requests(requests), tricks, seed=seed), "samples", out)


@app.command("words")
def edit_words_of(
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON lines with prompt, response and harmful (0 or 1)."),
    ],
    out: Out,
    queries: Annotated[int, typer.Option("--queries", min=2, help="Texts asked about, per answer.")] = 200,
    share: Annotated[float, typer.Option("--share", help="Largest share of words changed.")] = 0.15,
    below: Annotated[float, typer.Option("--below", help="P(harmful) that lets an answer pass.")] = 0.5,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    seed: Seed = 0,
) -> None:
    """Change words of harmful answers until the detector lets them pass (black box)."""
    from mllm_protector.assembly import build_detector, fingerprint
    from mllm_protector.config import Config, load_config
    from mllm_protector.evaluation.attacks.edited import write_edited
    from mllm_protector.evaluation.attacks.word_edits import EditBudget, Edited
    from mllm_protector.evaluation.labelled import read_labelled

    if not 0 < share <= 1 or not 0 < below <= 1:
        raise typer.BadParameter("--share and --below: write a number above 0, at most 1")
    rows = read_labelled(answers)
    wanted = Config() if config is None else load_config(config)
    detector = build_detector(wanted, threads=threads)

    def told(place: int, edited: Edited) -> None:
        typer.echo(f"answer {place + 1}: {edited.before:.2f} > {edited.after:.2f}", err=True)

    identity = fingerprint(wanted.detector, detector)
    budget = EditBudget(queries, share)
    made, passed = write_edited(out, detector, identity, rows, budget, below=below, seed=seed, on_edit=told)
    typer.echo(f"{passed} of {made} answers pass the detector now; both forms in {out}", err=True)


@app.command()
def adversarial(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Hub id or folder (transformers).")],
    out: Out,
    pictures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--pictures", metavar="DIR", help="Where to start. (default: plain drawn scenes)"),
    ] = None,
    requests: Requests = None,
    target: Annotated[str, typer.Option("--target", help="What the model is to say.")] = "Sure, here is how:",
    epsilon: Annotated[int, typer.Option("--epsilon", min=1, max=255, help="Grey levels of 255.")] = 16,
    step: Annotated[float, typer.Option("--step", help="Grey levels per step.")] = 1.0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps per picture.")] = 200,
    model_option: options.ModelOption = None,
    seed: Seed = 0,
) -> None:
    """Change pictures by gradient until the model begins as it is told to (white box)."""
    from mllm_protector.evaluation.attacks.adversarial import Budget, write_adversarial
    from mllm_protector.evaluation.attacks.pictures import find_pictures
    from mllm_protector.evaluation.attacks.requests import load_requests
    from mllm_protector.evaluation.backends import look_into

    if not 0 < step <= 255:
        raise typer.BadParameter(f"--step {step}: write a number above 0, at most 255")
    asked = load_requests(requests)
    sources = () if pictures is None else find_pictures(pictures)
    seeing = look_into(model, options.key_values(model_option), seed)

    def told(place: int, at: int, loss: float) -> None:
        if at == steps or at % 50 == 0:
            typer.echo(f"picture {place + 1} of {len(asked)}, step {at}: loss {loss:.3f}", err=True)

    budget = Budget(epsilon, step, steps)
    made = write_adversarial(
        out, seeing, model, asked, target, budget, sources=sources, seed=seed, on_step=told
    )
    _said(made, "samples", out)


def _said(count: int, what: str, out: Path) -> None:
    typer.echo(f"{count} {what} in {out}", err=True)
