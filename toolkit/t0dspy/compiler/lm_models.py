"""Map each LM of a program to the model of the gateway's config that answers for it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from t0dspy.artifact.lms import LmIdentity, identity_of
from t0dspy.compiler.carried import why_not_carried, why_unusable
from t0dspy.compiler.introspect import lm_of
from t0dspy.compiler.lm_names import name_lms
from t0dspy.compiler.lms import ProgramLm, find_lms
from t0dspy.compiler.sampling import dspy_name_of, shorthand_of
from t0dspy.errors import CompileError, Refusal, SettingsError
from t0dspy.model import LmEntry


@dataclass(frozen=True)
class Models:
    """What decides which model of the gateway's config answers for an LM."""

    all: str | None = None
    """The model for every LM that nothing else maps; not allowed if that is more than one."""
    named: Mapping[str, str] = field(default_factory=dict)
    """A predictor's path, an LM's name in DSPy (with `@ADDRESS` if it is not unique), or an attribute -> model."""
    table: Mapping[str, str] = field(default_factory=dict)
    """The same for all programs of a project, so that a name may be that of nothing in this program."""
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The tables of `[models]` in the gateway's config."""


@dataclass(frozen=True)
class MappedLms:
    """The LMs of a program with their models."""

    entries: Mapping[str, LmEntry]
    """Name in variants -> LM."""
    own: Mapping[str, str | None]
    """Path of a function's predictor or module -> the name of the LM that it uses by default; None without any LM."""
    models: Mapping[str, str]
    """The same paths -> the model that answers for it: the one that is named for it, or that of its LM."""
    notes: Sequence[str] = ()
    not_carried: Sequence[Refusal] = ()
    """LMs whose requests t0dspy's runtime cannot send; a function that only other clients call needs none of them."""


def map_lms(program: dspy.Module, models: Models, functions: Mapping[str, dspy.Module]) -> MappedLms:
    """Map the LMs that `program` can choose.

    Args:
        program: the live program.
        models: what the user and the config say about models.
        functions: path -> each predictor that gets a function, and each kept module.

    Raises:
        CompileError: an LM has no model, or more than one; the message has the flags to write.
        SettingsError: a name in `models.named` is that of nothing in the program.
    """
    return _Mapping(program, models, functions).mapped()


class _Mapping:
    def __init__(self, program: dspy.Module, models: Models, functions: Mapping[str, dspy.Module]) -> None:
        self.models, self.modules = models, functions
        live = {path: own_lm(module) for path, module in functions.items()}
        self.lms = {lm.identity: lm for lm in find_lms(program, live.items())}
        self.functions = {path: None if lm is None else identity_of(lm) for path, lm in live.items()}
        """Path -> the LM that it uses by default; None if no LM is set."""
        self.notes: list[str] = []
        self.by_path: dict[str, str] = {}
        self.by_lm: dict[LmIdentity, str] = {}

    def mapped(self) -> MappedLms:
        self._refuse_unusable()
        self._read_names()
        bare = [path for path, lm in self.functions.items() if lm is None and path not in self.by_path]
        unmapped = [lm for lm in self.lms.values() if lm.identity not in self.by_lm and not self._is_covered(lm)]
        if self.models.all is None:
            self.by_lm |= {lm.identity: model for lm in unmapped if (model := self._guess(lm)[0]) is not None}
            self._refuse([lm for lm in unmapped if lm.identity not in self.by_lm], bare)
        elif len(unmapped) + bool(bare) > 1:
            raise self._ambiguous(self.models.all, unmapped, bare)
        else:
            self.by_lm |= {lm.identity: self.models.all for lm in unmapped}
            self.by_path |= dict.fromkeys(bare, self.models.all)
        return self._result()

    def _refuse_unusable(self) -> None:
        reasons = [(lm, why_unusable(lm.live)) for lm in self.lms.values() if lm.live is not None]
        remedy = "Use a plain dspy.LM for chat completions."
        refusals = [Refusal(f"LM {lm.identity}", f"{reason}.", remedy) for lm, reason in reasons if reason]
        if refusals:
            raise CompileError(refusals)

    def _read_names(self) -> None:
        """Read the models that flags and settings name: by predictor, and by LM."""
        for name, model in {**self.models.table, **self.models.named}.items():
            matches = [lm.identity for lm in self.lms.values() if _is_named(lm, name)]
            if name in self.functions:
                self.by_path[name] = model
            elif len(matches) > 1:
                flags = _flags([(identity.label, model) for identity in matches])
                raise CompileError.because(f"LM {name}", f"is {len(matches)} LMs of the program.", f"Write {flags}.")
            elif matches:
                self.by_lm[matches[0]] = model
            elif name in self.models.named:
                self._add_unseen(name, model)

    def _add_unseen(self, name: str, model: str) -> None:
        """Map an LM that the program creates while it runs, so that reading the program does not find it."""
        if "/" not in name:
            known = [*self.functions, *(lm.identity.label for lm in self.lms.values())]
            raise SettingsError(
                f"--model {name}={model}: {name!r} is not a predictor, an LM or an attribute of the program; "
                f"there are {', '.join(known)}."
            )
        lm, _, address = name.partition("@")
        identity = LmIdentity.of(lm, {"api_base": address})
        self.lms[identity] = ProgramLm(identity)
        self.by_lm[identity] = model
        self.notes.append(
            f"{model} answers for the LM {identity}, which the program's attributes and code do not show."
        )

    def _is_covered(self, lm: ProgramLm) -> bool:
        """Return whether only predictors use the LM, and a model is named for each of them."""
        users = [path for path, own in self.functions.items() if own == lm.identity]
        return bool(users) and all(path in self.by_path for path in users)

    def _guess(self, lm: ProgramLm) -> tuple[str | None, str]:
        """Return the model that certainly answers for `lm`, or None and the reason why none does."""
        if lm.identity.address is None:
            return shorthand_of(lm.identity)
        name = lm.identity.model.partition("/")[2]
        matches = [model for model, table in self.models.config.items() if _serves(table, lm.identity.address, name)]
        if len(matches) == 1:
            return matches[0], ""
        count = f"{len(matches)} models of the config have" if matches else "no model of the config has"
        return None, f"{count} a provider with its address {lm.identity.address} and the model_name {name!r}"

    def _ambiguous(self, model: str, unmapped: Sequence[ProgramLm], bare: Sequence[str]) -> CompileError:
        guesses = [(lm.identity.label, self._guess(lm)[0] or model) for lm in unmapped]
        flags = _flags([*guesses, *((path, model) for path in bare)])
        count = len(unmapped) + bool(bare)
        return CompileError.because(f"--model {model}", f"is one model for {count} LMs.", f"Write {flags}.")

    def _refuse(self, unmapped: Sequence[ProgramLm], bare: Sequence[str]) -> None:
        alone = len(self.lms) + bool(bare) == 1
        remedy = "Name one with --model, such as openai::gpt-4o-mini or a model of tensorzero.toml."
        refusals = []
        for lm in unmapped:
            flag = (
                remedy if alone else f"Pass {_flags([(lm.identity.label, 'MODEL')])}, or set `models` in the settings."
            )
            refusals.append(Refusal(f"LM {lm.identity}", f"has no known model: {self._guess(lm)[1]}.", flag))
        for path in bare:
            flag = remedy if alone else f"Pass {_flags([(path, 'MODEL')])}."
            reason = "has no known model: it has no LM and DSPy has no configured LM."
            refusals.append(Refusal(path, reason, flag))
        if refusals:
            raise CompileError(refusals)

    def _result(self) -> MappedLms:
        for path, identity in list(self.functions.items()):
            if identity is None and self.lms:  # else the runtime would find no LM of the version for it
                name = dspy_name_of(self.by_path[path])
                identity = self.functions[path] = LmIdentity(name)
                self.lms.setdefault(identity, ProgramLm(identity))
            if identity is not None:
                self.by_lm.setdefault(identity, self.by_path.get(path, ""))
        names = name_lms(identity for identity in self.lms if identity in self.by_lm)
        entries = {
            name: LmEntry(identity.model, self.by_lm[identity], identity.address, identity.type)
            for identity, name in names.items()
        }
        own = {path: None if identity is None else names[identity] for path, identity in self.functions.items()}
        models = {path: self.by_path.get(path) or entries[name or ""].model for path, name in own.items()}
        calls: list[tuple[str, Any, Mapping[str, Any]]]
        calls = [(f"LM {lm.identity}", lm.live, {}) for lm in self.lms.values() if lm.live is not None]
        calls += [
            (path, own_lm(module), module.config)
            for path, module in self.modules.items()
            if isinstance(module, dspy.Predict) and own_lm(module) is not None and module.config
        ]
        reasons = [(location, why_not_carried(lm, config)) for location, lm, config in calls]
        remedy = (
            "Use an LM that DSPy's own engine (lm15) supports, such as dspy.LM('openai/NAME', engine='lm15'); "
            "tensorzero.toml can name any provider for it."
        )
        not_carried = [Refusal(location, f"{reason}.", remedy) for location, reason in reasons if reason]
        return MappedLms(entries, own, models, tuple(self.notes), not_carried)


def own_lm(module: dspy.Module) -> Any:
    """Return the LM that a call of a predictor or kept module uses by default; None if no LM is set."""
    return lm_of(module) if isinstance(module, dspy.Predict) else dspy.settings.lm


def _is_named(lm: ProgramLm, name: str) -> bool:
    return name in (lm.identity.model, lm.identity.label) or name in lm.places


def _serves(table: Mapping[str, Any], address: str, name: str) -> bool:
    providers = table.get("providers")
    return isinstance(providers, Mapping) and any(
        isinstance(provider, Mapping)
        and str(provider.get("api_base", "")).rstrip("/") == address
        and provider.get("model_name") == name
        for provider in providers.values()
    )


def _flags(pairs: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"--model {shlex.quote(f'{name}={model}')}" for name, model in pairs)
