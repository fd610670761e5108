"""The promotion test by simulation: levels, power, monotonicity, and a holdout that is asked for years.

    python -m benchmarks.promotion [--seeds 2000] [--years 2000]

Prints markdown tables, and exits with 5 if a target is missed.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from t0dspy.flywheel.promotion.dirichlet import group_sums

SIZES = (10, 20, 50, 100, 200)
LEVELS = (0.8, 0.95)
DRAW = np.random.default_rng(5)
MANY = 200_000
Quantiles = Callable[[Any], Any]
"""Uniform numbers in, score differences out: so that users' numbers can depend on each other."""


class Law(NamedTuple):
    """Differences between a challenger's and an incumbent's scores."""

    equal: Quantiles
    """With mean 0."""
    better: Quantiles
    bounded: bool = True
    heavy: bool = False
    """Losses that a small sample may not show: only `strict` is held to the stated risk."""


def three(worse: float, better: float) -> Quantiles:
    return lambda u: np.where(u < worse, -1.0, np.where(u > 1 - better, 1.0, 0.0))


def two(low: float, chance: float, high: float) -> Quantiles:
    return lambda u: np.where(u < chance, low, high)


def sampled(sample: Any) -> Quantiles:
    ordered = np.sort(sample)
    return lambda u: ordered[np.minimum((u * len(ordered)).astype(int), len(ordered) - 1)]


def graded(chances: list[float]) -> Any:
    return DRAW.choice(5, MANY, p=chances) / 4


def f1(a: float, b: float) -> Any:
    return np.round(DRAW.beta(a, b, MANY) * 12) / 12


def both(sample: Any) -> Any:
    return np.r_[sample, -sample]


def laws() -> dict[str, Law]:
    grades = [0.05, 0.1, 0.2, 0.35, 0.3]
    tied = np.where(DRAW.random(MANY) < 0.6, 0.0, f1(5, 2) - f1(5, 2))
    chance = DRAW.beta(8, 2, MANY)
    gap = (DRAW.random(MANY) < chance) - chance
    gap -= gap.mean()
    normal = stats.norm.ppf
    better_grades = graded([0.03, 0.07, 0.15, 0.35, 0.4]) - graded(grades)
    return {
        "right/wrong, 5% differ": Law(three(0.025, 0.025), three(0.005, 0.055)),
        "right/wrong, 20% differ": Law(three(0.1, 0.1), three(0.05, 0.15)),
        "right/wrong, 50% differ": Law(three(0.25, 0.25), three(0.2, 0.3)),
        "five grades": Law(sampled(both(graded(grades) - graded(grades))), sampled(better_grades)),
        "F1-like, 60% ties": Law(sampled(both(tied)), sampled(np.where(DRAW.random(MANY) < 0.2, np.abs(tied), tied))),
        "uniform": Law(lambda u: 2 * u - 1, lambda u: np.clip(2 * u - 0.9, -1, 1)),
        "normal .05": Law(
            lambda u: np.clip(0.05 * normal(u), -1, 1), lambda u: np.clip(0.05 * normal(u) + 0.02, -1, 1)
        ),
        "normal .2": Law(lambda u: np.clip(0.2 * normal(u), -1, 1), lambda u: np.clip(0.2 * normal(u) + 0.05, -1, 1)),
        "t3, unbounded": Law(lambda u: stats.t.ppf(u, 3), lambda u: stats.t.ppf(u, 3) + 0.3, bounded=False),
        "rare gains": Law(two(-0.1, 0.9, 0.9), two(-0.1, 0.8, 0.9)),
        "smooth vs 0/1": Law(sampled(-gap), sampled(np.clip(0.1 - gap, -1, 1))),
        "exponential gains": Law(lambda u: -np.log1p(-u) - 1, lambda u: -np.log1p(-u) - 0.75, bounded=False),
        "0/1 vs smooth": Law(sampled(gap), sampled(np.clip(gap + 0.1, -1, 1))),
        "20% lose .8": Law(two(-0.8, 0.2, 0.2), two(-0.8, 0.1, 0.2)),
        "10% lose .9": Law(two(-0.9, 0.1, 0.1), two(-0.9, 0.03, 0.1), heavy=True),
        "5% lose .95": Law(two(-0.95, 0.05, 0.05), two(-0.95, 0.01, 0.05), heavy=True),
        "lognormal losses, unbounded": Law(
            lambda u: math.exp(0.5) - np.exp(-normal(u)),
            lambda u: 0.5 + math.exp(0.5) - np.exp(-normal(u)),
            bounded=False,
            heavy=True,
        ),
    }


LAWS = laws()


def draw(law: Quantiles, count: int, seeds: int, users: bool) -> Iterator[tuple[Any, Any]]:
    """Differences and their groups; users have 5 to 15 examples each, and half of the variance in common."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, count])
        if not users:
            yield law(rng.random(count)), None
            continue
        groups = np.repeat(np.arange(count // 5 + 1), rng.integers(5, 16, count // 5 + 1))[:count]
        latent = math.sqrt(0.5) * rng.normal(size=count // 5 + 1)[groups] + math.sqrt(0.5) * rng.normal(size=count)
        yield law(stats.norm.cdf(latent)), groups


def cell(job: tuple[str, bool, int, int, bool]) -> tuple[Any, ...]:
    """The promotion rates of one law, at .80 and .95, by the default and by `strict`; and of the method before."""
    name, better, count, seeds, users = job
    law = LAWS[name]
    rates, strict, before = np.zeros(2), np.zeros(2), np.zeros(2)
    old = 0
    for differences, groups in draw(law.better if better else law.equal, count, seeds, users):
        sums = group_sums(differences, groups, None)
        rates += [sums.confidence_above(0.0) >= level - 1e-9 for level in LEVELS]
        if law.bounded:
            sums = group_sums(differences, groups, 1.0)
            strict += [sums.confidence_above(0.0) >= level - 1e-9 for level in LEVELS]
        if old < seeds // 10:
            old += 1
            before += [resampled(differences) >= level - 1e-9 for level in LEVELS]
    return (*job, rates / seeds, strict / seeds if law.bounded else None, before / max(1, old))


def resampled(differences: Any, resamples: int = 299) -> float:
    """The method before: the smaller one of a sign-flip test and a studentized bootstrap, on examples."""
    if differences.sum() <= 0:
        return 0.0
    rng = np.random.default_rng(0)
    count = len(differences)
    turned = (rng.integers(0, 2, (resamples, count)) * 2 - 1) @ differences
    flips = 1 - (1 + (turned >= differences.sum() - 1e-9).sum()) / (1 + resamples)
    spread = differences.std(ddof=1)
    if spread == 0:
        return float(flips)
    drawn = differences[rng.integers(0, count, (resamples, count))]
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.nan_to_num((drawn.mean(1) - differences.mean()) / drawn.std(1, ddof=1), posinf=np.inf, neginf=-np.inf)
    return float(min(flips, 1 - (1 + (off >= differences.mean() / spread).sum()) / (1 + resamples)))


def allowed(level: float, seeds: int) -> float:
    """The stated risk and two standard errors."""
    risk = 1 - level
    return risk + 2 * math.sqrt(risk * (1 - risk) / seeds)


def shown(rates: Any) -> str:
    return "" if rates is None else "/".join(f"{rate:.2f}" for rate in rates)


def levels(pool: Any, seeds: int) -> bool:
    """The worst rate over the numbers of examples of equal contenders, against the stated risk."""
    sizes = {False: SIZES[1:], True: SIZES}
    jobs = [(name, False, n, seeds, users) for users in (False, True) for name in LAWS for n in SIZES]
    found = pool.map(cell, jobs, chunksize=1)
    print(
        "\n| equal contenders: promoted at .80/.95 | default | strict | before | users: default | strict | before | |"
    )
    print("|---|---|---|---|---|---|---|---|")
    met = True
    for name, law in LAWS.items():
        parts, held = [], True
        for users in (False, True):
            rows = [one for one in found if one[0] == name and one[4] == users and one[2] in sizes[users]]
            worst = [np.max([one[at] for one in rows], axis=0) if rows[0][at] is not None else None for at in (5, 6, 7)]
            parts += [shown(one) for one in worst]
            judged = worst[1] if law.heavy else worst[0]
            limits = [allowed(level, seeds) for level in LEVELS]
            if judged is not None and not (law.heavy and not law.bounded):
                held &= bool((judged <= limits).all())
        met &= held
        print(f"| {name} | {' | '.join(parts)} | {'met' if held else 'MISSED'} |")
    return met


def power(pool: Any, seeds: int) -> bool:
    """The promotion rates at .80 of better challengers."""
    cases = [(20, False), (50, False), (200, False), (200, True)]
    found = pool.map(cell, [(name, True, n, seeds, users) for name in LAWS for n, users in cases], chunksize=1)
    print("\n| better challengers: promoted at .80 | n=20 default/strict/before | n=50 | n=200 | 200, of users |")
    print("|---|---|---|---|---|")
    at = {(one[0], one[2], one[4]): one for one in found}
    for name in LAWS:
        cells = [
            "/".join("" if rates is None else f"{rates[0]:.2f}" for rates in at[name, n, users][5:])
            for n, users in cases
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    least = {20: 0.33, 50: 0.66, 200: 0.97}
    return all(at["right/wrong, 20% differ", n, False][5][0] >= rate for n, rate in least.items())


def monotone(seeds: int) -> bool:
    """Promotion at .80 of 61 examples as the chance to win rises."""
    rng = np.random.default_rng(1)
    luck, noise = rng.random((seeds, 61)), rng.normal(size=(seeds, 61)) * 0.001
    chances = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
    print(f"\n| 61 examples, chance to win | {' | '.join(map(str, chances))} |\n|---{'|---' * len(chances)}|")
    met = True
    for name, jitter in (("default", 0.0), ("default, jitter .001", 1.0)):
        rates = []
        for chance in chances:
            data = np.where(luck < chance, 1.0, -1.0) + jitter * noise
            rates.append(np.mean([group_sums(one, None, None).confidence_above(0.0) >= 0.8 for one in data]))
        print(f"| {name} | {' | '.join(f'{rate:.2f}' for rate in rates)} |")
        met &= rates == sorted(rates) and rates[-1] == 1.0
    few = min(200, seeds)
    old = [np.mean([resampled(np.where(each < chance, 1.0, -1.0)) >= 0.8 for each in luck[:few]]) for chance in chances]
    print(f"| before | {' | '.join(f'{rate:.2f}' for rate in old)} |")
    return met


def years(risk: Callable[[int, float], float], grown: int, start: int, good: float, count: int) -> tuple[float, float]:
    """The share of years with a false promotion, and the share of truly better challengers that were promoted.

    Twelve challengers a year, right/wrong scores, an incumbent of .70, paired correlation .7. A promoted challenger
    becomes the incumbent. `risk` gives that of a decision from its number and what was spent.
    """
    rng = np.random.default_rng(3)
    examples = start + 12 * grown
    hard = rng.normal(size=(count, examples))
    quality = np.full(count, 0.70)

    def scores(mean: Any) -> Any:
        noise = rng.normal(size=(count, examples))
        limit = stats.norm.ppf(np.minimum(mean, 0.97))[:, None]
        return math.sqrt(0.7) * hard + math.sqrt(0.3) * noise < limit

    incumbent, false = scores(quality), np.zeros(count, bool)
    won = chances = 0
    spent = 0.0
    for month in range(12):
        better = rng.random(count) < good
        raised = np.where(better, quality + 0.08, quality)
        challenger = scores(raised)
        seen = slice(0, start + grown * month)
        wins = (challenger[:, seen] & ~incumbent[:, seen]).sum(1)
        losses = (~challenger[:, seen] & incumbent[:, seen]).sum(1)
        step = risk(month, spent)
        spent += step
        promoted = stats.binom.sf(wins - 1, wins + losses, 0.5) <= step
        false |= promoted & ~better
        won += int((promoted & better).sum())
        chances += int(better.sum())
        incumbent[promoted] = challenger[promoted]
        quality = np.where(promoted, raised, quality)
    return float(false.mean()), won / chances if chances else math.nan


def holdouts(count: int) -> bool:
    """A holdout that is asked twelve times a year, with the account and without."""
    from t0dspy.flywheel.promotion.account import next_risk

    rules: dict[str, Callable[[int, float], float]] = {
        "yearly_risk = 0.2": lambda decided, spent: next_risk(0.8, 0.2, 12, decided, spent),
        'yearly_risk = "off"': lambda decided, spent: next_risk(0.8, None, 12, decided, spent),
    }
    print("\n| 12 decisions a year: any false promotion / power | 60 | 150 | 60, +30 a month | 150, +30 a month |")
    print("|---|---|---|---|---|")
    met = True
    for name, rule in rules.items():
        cells = []
        for grown, start in ((0, 60), (0, 150), (30, 60), (30, 150)):
            false = years(rule, grown, start, 0.0, count)[0]
            found = years(rule, grown, start, 1 / 3, count)[1]
            cells.append(f"{false:.2f} / {found:.2f}")
            if name != 'yearly_risk = "off"':
                met &= false <= 0.2 and (found >= 0.60 or (grown, start) != (30, 150))
        print(f"| {name} | {' | '.join(cells)} |")
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--years", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=None, help="by default one for each core")
    asked = parser.parse_args()
    checks = {"holdout": holdouts(asked.years), "monotone": monotone(asked.seeds)}
    with Pool(asked.processes) as pool:
        checks |= {"level": levels(pool, asked.seeds), "power": power(pool, asked.seeds)}
    print(f"\n{asked.seeds:,} seeds a cell, {asked.years:,} years")
    missed = [name for name, met in checks.items() if not met]
    print(f"\n{'missed: ' + ', '.join(missed) if missed else 'every target is met'}")
    sys.exit(5 if missed else 0)


if __name__ == "__main__":
    main()
