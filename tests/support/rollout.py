"""A running stack whose programs have several versions, and the project around it."""

from pathlib import Path

from support.served import Served, export
from t0dspy.rollout.apply import Place
from t0dspy.settings import ApplySettings


class Project(Served):
    """A stack and the project around it."""

    said_notes: list[str]

    @property
    def place(self) -> Place:
        """Where the traffic is changed, and who serves it."""
        how = ApplySettings(data_dir=str(self.data_dir), timeout=20)
        notes: list[str] = []
        self.said_notes = notes
        return Place(
            self.configs, self.url, self.urls["clickhouse"] + "/tensorzero", how, given=True, show=notes.append
        )

    def settings(self, more: str = "") -> None:
        """The project's settings file."""
        lines = f'gateway_url = "{self.url}"\nclickhouse_url = "{self.urls["clickhouse"]}/tensorzero"\n'
        lines += f'[apply]\ndata_dir = "{self.data_dir}"\n{more}'
        (self.directory / "t0dspy.toml").write_text(lines)

    def variants(self, function: str = "question", count: int = 2) -> set[str]:
        """Who answers now."""
        answers = [self.call(function, {"question": "why"}) for _ in range(count)]
        return {one.json()["variant_name"] for one in answers}


def exported(configs: Path) -> None:
    """`question` in three versions, answered by the gateway alone, and `tales` in two, by the program server."""
    export(configs, "stories:question")
    export(configs, "stories:question", instructions="NEW instructions.")
    export(configs, "stories:question", instructions="NEWEST instructions.")
    export(configs, "stories:stories", name="tales")
    export(configs, "stories:stories", name="tales", instructions="NEW instructions.", traffic=0.5)
