"""Removes Record-Route, and leaves everything else."""

from dataclasses import dataclass

from siplab.model import Card, Context, Model, Recipe, SipMessage


@dataclass(frozen=True)
class RemoveRecordRoute:
    def apply(self, message: SipMessage, context: Context) -> None:
        message.fields = [each for each in message.fields if each.name != b"record-route"]


MODEL = Model("record-route-removed", Card("Removes Record-Route."), Recipe(last=(RemoveRecordRoute(),)))
