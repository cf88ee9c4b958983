"""The verifier's result as tables."""

_LAST = "TFLite Micro"


def tables(proof: dict) -> dict:
    """Formats the content of ``verify.json``; cells are text.

    Returns:
        ``data``: what it was measured on; ``stages``: a row each, compared with TFLite Micro;
        ``pairs``: all pairs; ``tensors`` and ``checks``.
    """
    examples, pairs = proof["examples"], proof["pairs"]
    against_last = {pair["first"]: _differences(pair) for pair in pairs if pair["second"] == _LAST}
    return {
        "data": f"{examples:,} examples of {proof['data']} ({proof['split']})",
        "stages": [
            [name, f"{right:,}", _percent(right / examples), *against_last.get(name, ["–"] * 5)]
            for name, right in proof["correct"].items()
        ],
        "pairs": [[f"{p['first']} / {p['second']}", *_differences(p)] for p in pairs],
        "tensors": [[str(cell) for cell in row] for row in proof["tensors"]],
        "checks": [(bool(check["holds"]), str(check["text"])) for check in proof["checks"]],
    }


def _differences(pair: dict) -> list[str]:
    cells = []
    for what in ("hidden", "logits"):
        cells += [_percent(pair[what]["equal"]), f"{pair[what]['max']:,}"]
    return [*cells, _percent(pair["decisions"])]


def _percent(share: float) -> str:
    # 100.00 % must mean all.
    text = f"{100 * share:.2f} %"
    return "under 100 %" if text == "100.00 %" and share < 1 else text
