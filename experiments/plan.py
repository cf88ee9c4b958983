"""Every experiment: its settings, and what has to be there before it. Imports no TensorFlow."""

import re
from dataclasses import dataclass, field, replace

from kws_tf import presets
from kws_tf.errors import KwsError
from kws_tf.settings import Augmentation, DataSettings, TrainSettings
from kws_tf.synthesis.dataset import ACCENTS, SynthesisSettings

SEEDS = (0, 1, 2)
TEACHERS = ("teacher-0", "teacher-1", "teacher-2")
WEIGHT_BITS = (8, 6, 5, 4, 3, 2)
ACTIVATION_BITS = (8, 6, 5, 4)
MIXED_WORDS = ("up", "down", "left", "right", "go")
RECORDINGS_PER_WORD = (0, 10, 50, 200)
SYNTHETIC_PER_WORD = 300
OTHER_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four"),
    *("happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila", "six", "three"),
    *("tree", "two", "visual", "wow", "zero"),
)
OTHER_WORDS_RUN = "other-words"
MIXTURES = {
    "alone": "alone",
    "mixed": f"with {SYNTHETIC_PER_WORD} synthesised clips a word",
    "started": "the same, begun with an LSTM that has heard other words",
}
MIXING_SHARES = (0.25, 0.5, 1.0, 1.5)
_TRANSFER = {"float_epochs": 20, "quantized_epochs": 0, "start_from": ""}
_MIXING = {"float_epochs": 20, "quantized_epochs": 5, "start_from": ""}
# Few clips need smaller batches and more epochs to make as many steps.
_ALONE = {
    10: {"batch_size": 16, "float_epochs": 100, "quantized_epochs": 20},
    50: {"batch_size": 32, "float_epochs": 60, "quantized_epochs": 12},
    200: {"float_epochs": 30, "quantized_epochs": 8},
}
_HALF_AMERICAN = (*ACCENTS, *["en-us"] * (len(ACCENTS) - 2))
_TRIALS = {118: "118-muon", 344: "344-long"}
"""Hidden units, and what the trials of the preset's recipe are called."""
# The recipe that most rows were trained with, as it was before that of the presets.
_ADAM = {
    "batch_size": 64,
    "float_epochs": 40,
    "quantized_epochs": 4,
    "teacher": TEACHERS[:2],
    "teacher_share": 1.0,
    "soft_target_epochs": 12,
    "product_dtype": "bfloat16",
}
_ADAM_344 = {"hidden": 344, "float_epochs": 32, "quantized_epochs": 3, "learning_rate": 2e-3}
_ADAM_DATA = {"unknown_share": 0.3}
_ADAM_AUGMENTATION = {"mix_share": 0.5, "edge_share": 0.25}
_FULL = {
    "data": DataSettings(**_ADAM_DATA),
    "augmentation": Augmentation(**_ADAM_AUGMENTATION),
}
METHODS = {
    "ptq": "post-training quantization",
    "fixed": "fine-tuned, fixed clips",
    "pact": "fine-tuned, trained clips",
    "lsq": "fine-tuned, trained clips, LSQ's gradient",
}


@dataclass(frozen=True)
class Experiment:
    """One run.

    Attributes:
        group: One of ``GROUPS``.
        row: What the table calls its configuration; seeds of one configuration share it.
        name: Of its run folder.
        train: Model and training; ``teacher``, ``pretraining_run`` and ``start_from`` name other
            experiments.
        data: The task.
        augmentation: What is done to training clips.
        runtimes: What measures it on the test set, of ``evaluation.summary.RUNTIMES``.
        speech: Synthesised speech to train on instead of the data folder.
        judged: Whether the Keras model is judged on the data folder's validation clips, the same
            whatever it was trained on.
    """

    group: str
    row: str
    name: str
    train: TrainSettings
    data: DataSettings = field(default_factory=DataSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    runtimes: tuple[str, ...] = ("keras", "tflite", "tflm")
    speech: SynthesisSettings | None = None
    judged: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the experiments that have to be done before."""
        train = self.train
        return (*train.teacher, *filter(None, [train.pretraining_run, train.start_from]))


def _settings(units: int = 118, **changes) -> TrainSettings:
    """The recipe with Adam, with changes."""
    return TrainSettings(**_ADAM | (_ADAM_344 if units == 344 else {}) | changes)


def _of_preset(preset: str, **changes) -> tuple[TrainSettings, DataSettings, Augmentation]:
    """A preset's recipe, with changes to the training."""
    common = {"teacher": TEACHERS, "product_dtype": "bfloat16"}
    return (
        presets.settings(TrainSettings, preset, **common | changes),
        presets.settings(DataSettings, preset),
        presets.settings(Augmentation, preset),
    )


def _teachers() -> list[Experiment]:
    return [
        Experiment(
            "teachers",
            "teacher",
            name,
            presets.settings(TrainSettings, "teacher", seed=seed, **changes),
            DataSettings(**data),
            presets.settings(Augmentation, "teacher", **augmentation),
            runtimes=(),
        )
        for name, seed, changes, data, augmentation in (
            (TEACHERS[0], 0, {}, {}, {}),
            (TEACHERS[1], 1, {}, {}, {}),
            (
                TEACHERS[2],
                2,
                {"label_smoothing": 0.0},
                {"level_noise": True},
                {"noise_roll_ms": 500.0},
            ),
        )
    ]


def _main() -> list[Experiment]:
    """The recipe of the preset."""
    found = []
    for seed in SEEDS:
        for units, name in _TRIALS.items():
            trained = f"{name}-{seed}"
            fixed = {"pact": False, "pretraining_run": trained}
            for clips, trial, changes in (
                ("PACT", trained, {}),
                ("fixed", f"{name}-fixed-{seed}", fixed),
            ):
                settings = _of_preset("full", seed=seed, hidden=units, **changes)
                found.append(Experiment("main", f"{units} units, {clips}", trial, *settings))
    return found


def _earlier() -> list[Experiment]:
    """Recipes before: a shorter one, with Adam, its other front end and the original's scheme."""
    found = []
    for seed in SEEDS:
        short = f"344-muon-{seed}"
        for row, name, preset, changes in (
            ("", short, "full", {"float_epochs": 24}),
            (", second round", f"344-muon-second-{seed}", "second", {"start_from": short}),
        ):
            settings = _of_preset(preset, seed=seed, hidden=344, **changes)
            row = f"344 units, PACT, 24 epochs{row}"
            found.append(Experiment("earlier", row, name, *settings))
    for seed in SEEDS:
        for units in _TRIALS:
            trained = f"{units}-pact-{seed}"
            for clips, changes in (
                ("PACT", {}),
                ("fixed", {"pact": False, "pretraining_run": trained}),
            ):
                row = f"{units} units, {clips}, Adam"
                name = f"{units}-{clips.lower()}-{seed}"
                settings = _settings(units, seed=seed, **changes)
                found.append(Experiment("earlier", row, name, settings, **_FULL))
    for seed in SEEDS:
        found.append(
            Experiment(
                "mfcc",
                "118 units, PACT, mfcc10, Adam",
                f"118-mfcc10-{seed}",
                _settings(seed=seed),
                DataSettings(**_ADAM_DATA, front_end="mfcc10"),
                _FULL["augmentation"],
            )
        )
        for clips in ("PACT", "fixed"):
            settings = _settings(
                seed=seed,
                profile="paper",
                pact=clips == "PACT",
                pretraining_run=f"118-pact-{seed}",
            )
            row, name = f"118 units, {clips}, paper, Adam", f"118-paper-{clips.lower()}-{seed}"
            found.append(Experiment("paper", row, name, settings, **_FULL))
    return found


def _bits() -> list[Experiment]:
    widths = [("weights", {"weight_bits": bits}) for bits in WEIGHT_BITS]
    widths += [
        ("activations", {"input_bits": bits, "hidden_bits": bits}) for bits in ACTIVATION_BITS[1:]
    ]
    found = []
    for what, changes in widths:
        bits = next(iter(changes.values()))
        for method in METHODS:
            if method == "lsq" and (what == "activations" or bits > 4):
                continue  # it is for the clips of weights, and shows at few bits
            # A learning rate of 0 leaves weights and calibrated clips as they are.
            more = {"ptq": {"quantized_learning_rate": 0.0, "quantized_epochs": 1}}.get(method, {})
            settings = _settings(
                pact=method in ("pact", "lsq"),
                learned_step=method == "lsq",
                pretraining_run="118-pact-0",
                **(changes | more),
            )
            name = f"{what}-{bits}-{method}"
            row = f"{what}, {bits} bits, {METHODS[method]}"
            found.append(Experiment("bits", row, name, settings, **_FULL, runtimes=("tflite",)))
    return found


def _recipe() -> list[Experiment]:
    """Short runs of the preset for 118 units, seed 0, each with one change.

    They are judged on validation clips.
    """
    one, alone = {"teacher": TEACHERS[:1]}, {"teacher": ()}
    light = {"speed": 0.05, "warp": 0.04, "time_mask_ms": 60.0, "band_mask": 4, "noise_share": 0.6}
    strong = {"speed": 0.15, "warp": 0.12, "time_masks": 2, "band_masks": 2}
    warm_ups = {
        "base": {},
        "Adam": {"train": {"optimizer": "adam"}},
        "greatest learning rate 1e-3": {"train": {"learning_rate": 1e-3}},
        "greatest learning rate 6e-3": {"train": {"learning_rate": 6e-3}},
        "Muon, decay 0.5": {"train": {"matrix_decay": 0.5}},
        "weight averaging, 0.99 a step": {"train": {"averaging": 0.99}},
        "the teachers' label smoothing left on": {"train": {"unsmoothed_teachers": False}},
        "two teachers": {"train": {"teacher": TEACHERS[:2]}},
        "teachers' share 0.7, labels 0.3": {"train": {"teacher_share": 0.7}},
        "no teacher": {"train": alone},
        "no teacher, no label smoothing": {"train": alone | {"label_smoothing": 0.0}},
        "no teacher, dropout 0.2": {"train": alone | {"dropout": 0.2}},
        "16 epochs": {"train": {"float_epochs": 16}},
        "40 epochs, teachers' share 0.7, labels 0.3": {
            "train": {"float_epochs": 40, "teacher_share": 0.7}
        },
        "40 epochs, greatest learning rate 6e-3": {
            "train": {"float_epochs": 40, "learning_rate": 6e-3}
        },
        "quantized from the start": {"train": {"float_epochs": 0, "quantized_epochs": 8}},
        # Teachers have to be asked anew where other clips are heard; one is asked sooner.
        "one teacher": {"train": one},
        "one teacher, batches of 128": {"train": one | {"batch_size": 128}},
        "one teacher, noise as it is stored": {
            "train": one,
            "data": {"level_noise": False},
            "augmentation": {"noise_roll_ms": 0.0},
        },
        "one teacher, no clips mixed in": {"train": one, "augmentation": {"mix_share": 0.0}},
        "one teacher, no silent edges": {"train": one, "augmentation": {"edge_share": 0.0}},
        "one teacher, unknown share 0.1": {"train": one, "data": {"unknown_share": 0.1}},
        "one teacher, weaker speed, warp, masks and noise": {"train": one, "augmentation": light},
        "one teacher, stronger speed, warp and masks": {"train": one, "augmentation": strong},
    }
    begun = {"float_epochs": 0, "pretraining_run": ""}
    few = {"quantized_learning_rate": 5e-4}
    four = "4-bit weights, greatest learning rate 5e-4"
    fine_tunings = {
        "base": {},
        "greatest learning rate 5e-4": {"quantized_learning_rate": 5e-4},
        "greatest learning rate 3e-5": {"quantized_learning_rate": 3e-5},
        "8 epochs": {"quantized_epochs": 8},
        "fixed clips": {"pact": False},
        "clips begin at the largest magnitude": {"clip_percentile": 100.0},
        "clips begin at the 99.9th percentile": {"clip_percentile": 99.9},
        "no penalty on clips": {"clip_l2": 0.0},
        "ten times the penalty on clips": {"clip_l2": 1e-3},
        "no penalty on hidden products": {"overflow_penalty": 0.0},
        four: few | {"weight_bits": 4},
        "2-bit weights, greatest learning rate 5e-4, 6 epochs": few
        | {"weight_bits": 2, "quantized_epochs": 6},
        "2-bit weights gradually: 3 epochs more of the 4-bit ones": few
        | begun
        | {"weight_bits": 2, "start_from": _name("recipe-fine-tuning", four)},
    }
    short = {"float_epochs": 8, "quantized_epochs": 0}
    trials = [
        ("recipe-warm-up", row, short | changes.get("train", {}), changes)
        for row, changes in warm_ups.items()
    ]
    taken = {"pretraining_run": "118-muon-0"}
    trials += [
        ("recipe-fine-tuning", row, taken | train, {}) for row, train in fine_tunings.items()
    ]
    found = []
    for group, row, train, changes in trials:
        train, data, augmentation = _of_preset("full", **train)
        data = replace(data, **changes.get("data", {}))
        augmentation = replace(augmentation, **changes.get("augmentation", {}))
        name = _name(group, row)
        found.append(
            Experiment(group, row, name, train, data, augmentation, runtimes=(), judged=True)
        )
    return found


def _transfer() -> list[Experiment]:
    """Short runs on synthesised speech, each with one change, judged on real validation clips."""
    strong = {"warp": 0.16, "time_masks": 2, "band_masks": 2}
    weak = {"warp": 0.04, "time_mask_ms": 60.0, "band_mask": 4, "noise_share": 0.5}
    different = {"accents": _HALF_AMERICAN, "variety": 1.5, "snr_db": (10, 65), "room_share": 0.8}
    many = {"per_word": 900, "per_unknown_word": 75}
    trials = {
        "base: preset quick, 20 epochs of warm-up": {"seeds": SEEDS},
        "more than half of the speakers American": {"speech": {"accents": _HALF_AMERICAN}},
        "speakers 1.5 times as different": {"speech": {"variety": 1.5}},
        "background 10 to 65 dB below the word": {"speech": {"snr_db": (10, 65)}},
        "80 % of the clips in rooms": {"speech": {"room_share": 0.8}},
        "all of these four": {"speech": different},
        "three times the clips, 7 epochs": {"speech": many, "train": {"float_epochs": 7}},
        "stronger warp and masks": {"augmentation": strong},
        "weaker warp, masks and noise": {"augmentation": weak},
        "noise up to 0.3 of full scale": {"augmentation": {"noise_volume": 0.3}},
        "other clips mixed in": {"augmentation": {"mix_share": 0.5}},
        "unknown share 0.5": {"data": {"unknown_share": 0.5}},
        "dropout 0.3": {"train": {"dropout": 0.3}},
        "gain up to 15 dB": {"augmentation": {"gain_db": 15.0}},
        "random filters of up to 6 dB": {"augmentation": {"filter_db": 6.0}},
        "random filters of up to 12 dB": {"augmentation": {"filter_db": 12.0}},
        "begun with an LSTM that has heard 25 other words from people": {
            "train": {"start_from": OTHER_WORDS_RUN},
            "seeds": SEEDS,
        },
        "the same, greatest learning rate 1e-3": {
            "train": {"start_from": OTHER_WORDS_RUN, "learning_rate": 1e-3},
        },
        "American, 1.5 times as different, clips mixed in": {
            "speech": {"accents": _HALF_AMERICAN, "variety": 1.5},
            "augmentation": {"mix_share": 0.5},
            "seeds": SEEDS,
        },
    }
    # None of the ten words is among the clips that it hears.
    heard = Experiment(
        "transfer-start",
        "25 other words",
        OTHER_WORDS_RUN,
        presets.settings(TrainSettings, "untaught", quantized_epochs=0),
        presets.settings(DataSettings, "untaught", words=OTHER_WORDS, unknown_share=0.0),
        presets.settings(Augmentation, "untaught"),
        runtimes=(),
    )
    return [heard] + [
        Experiment(
            "transfer",
            row,
            _name("transfer", row) + (f"-{seed}" if seed else ""),
            presets.settings(
                TrainSettings,
                "quick",
                **_TRANSFER | {"seed": seed} | changes.get("train", {}),
            ),
            presets.settings(DataSettings, "quick", **changes.get("data", {})),
            presets.settings(Augmentation, "quick", **changes.get("augmentation", {})),
            runtimes=(),
            speech=SynthesisSettings(**changes.get("speech", {})),
            judged=True,
        )
        for row, changes in trials.items()
        for seed in changes.get("seeds", SEEDS[:1])
    ]


def _name(group: str, row: str) -> str:
    return f"{group}-" + re.sub("[^a-z0-9]+", "-", row.lower())


def _mixing() -> list[Experiment]:
    """Recordings of five words, as many of each as the row says, alone and with synthesised ones.

    All rows have the same validation recordings to choose the epoch by. How much unknown speech
    they get was chosen by the rows of the group "mixing-share", on these.
    """
    found = [
        Experiment(
            "mixing-share",
            f"unknown share {share:g}",
            f"mixing-share-{share:g}",
            presets.settings(TrainSettings, "own-words", **_MIXING | {"quantized_epochs": 0}),
            _mixture(50, SYNTHETIC_PER_WORD, share),
            presets.settings(Augmentation, "own-words"),
            runtimes=(),
            judged=True,
        )
        for share in MIXING_SHARES
    ]
    for number in RECORDINGS_PER_WORD:
        for kind in MIXTURES:
            synthetic = SYNTHETIC_PER_WORD if kind != "alone" else 0
            if not number and not synthetic:
                continue
            settings = _MIXING | (_ALONE[number] if not synthetic else {})
            if kind == "started":
                settings |= {"start_from": OTHER_WORDS_RUN}
            found.append(
                Experiment(
                    "mixing",
                    mixing_row(number, kind),
                    f"mixing-{number}-{kind}",
                    presets.settings(TrainSettings, "own-words", **settings),
                    _mixture(number, synthetic, 0.5),
                    presets.settings(Augmentation, "own-words"),
                )
            )
    return found


def _mixture(recordings: int, synthetic: int, unknown_share: float) -> DataSettings:
    return presets.settings(
        DataSettings,
        "own-words",
        words=MIXED_WORDS,
        unknown_share=unknown_share,
        recordings_per_word=recordings,
        synthetic_per_word=synthetic,
    )


def mixing_row(recordings: int, kind: str) -> str:
    """Returns what a result calls a mixture; ``kind`` is one of ``MIXTURES``."""
    return f"{recordings} recordings a word, {MIXTURES[kind]}"


def experiments() -> dict[str, Experiment]:
    """Returns all experiments by name, in the order to run them."""
    found = [
        *_teachers(),
        *_main(),
        *_earlier(),
        *_bits(),
        *_recipe(),
        *_transfer(),
        *_mixing(),
    ]
    return {experiment.name: experiment for experiment in found}


GROUPS = (
    *("teachers", "main", "earlier", "mfcc", "paper", "bits"),
    *("recipe-warm-up", "recipe-fine-tuning"),
    *("transfer-start", "transfer", "mixing-share", "mixing"),
)


def chosen(groups, names) -> list[Experiment]:
    """Returns the experiments of these groups and names and all that they need, in order.

    Raises:
        KwsError: If there is no such group or name.
    """
    every = experiments()
    for name in names:
        if name not in every:
            raise KwsError(
                f"there is no experiment '{name}'; scripts/run_experiments.py --list shows them"
            )
    wanted = {n for n, e in every.items() if e.group in groups or n in names}
    while more := {need for name in wanted for need in every[name].needs} - wanted:
        wanted |= more
    return [experiment for name, experiment in every.items() if name in wanted]
