"""One symbol a gene: sources of different years call genes by different names."""

from collections import defaultdict
from collections.abc import Iterable

import pandas as pd


class GeneSymbols:
    """Today's symbols of genes, and how to get from a former one to today's.

    Two names belong to one gene if Ensembl gives them one id. A name that belongs to several genes is nobody's.

    Parameters
    ----------
    names
        Columns gene_name and ensembl_id: former and today's names.
    preferred, others
        Today's symbols. Of two for one gene the preferred one is taken.
    """

    def __init__(self, names: pd.DataFrame, preferred: Iterable[str], others: Iterable[str]) -> None:
        self._ids: defaultdict[str, set[str]] = defaultdict(set)
        for name, identifier in zip(names["gene_name"], names["ensembl_id"], strict=True):
            self._ids[name].add(identifier)
        self._today = set(preferred)
        self._of_id = defaultdict(set)
        self._learn(self._today)
        new = {symbol for symbol in others if self.one(symbol) is None}
        self._today |= new
        self._learn(new)

    def one(self, symbol: str) -> str | None:
        """Give today's symbol of a gene, None if there is none or if it cannot be told."""
        if symbol in self._today:
            return symbol
        found = set().union(*(self._of_id[identifier] for identifier in self._ids.get(symbol, set())))
        return found.pop() if len(found) == 1 else None

    def is_known(self, name: str) -> bool:
        """Tell whether a name is that of a gene, today's or a former one."""
        return name in self._today or name in self._ids

    def of_id(self, identifier: str) -> str | None:
        """Give today's symbol of an Ensembl id, None if there is none or several."""
        found = self._of_id.get(identifier, set())
        return next(iter(found)) if len(found) == 1 else None

    def all(self, symbols: Iterable[str]) -> set[str]:
        """Give today's symbols of genes, without those that have none."""
        return {today for symbol in symbols if (today := self.one(symbol)) is not None}

    def indexed(self, values: pd.Series) -> pd.Series:
        """Give values by today's symbols, the largest where two names become one."""
        today = values.index.map(self.one)
        return values[today.notna()].groupby(today[today.notna()]).max()

    def _learn(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            for identifier in self._ids.get(symbol, set()):
                self._of_id[identifier].add(symbol)
