"""Conditions and rows of many values that are one statement, and one parameter, however many there are.

An `IN (?, ?, ...)` is another statement for each number of values: it is written, prepared and planned anew each time,
and has to be cut into pieces. Here SQLite is handed a JSON text and PostgreSQL an array.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Subquery,
    Text,
    bindparam,
    literal_column,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine


class Values(TypeDecorator[Collection[Any]]):
    """A parameter that holds many values of one type."""

    impl = Text
    cache_ok = True

    def __init__(self, of: type[BigInteger] | type[Text]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that carries them."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.of))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        """Return what the database is handed."""
        values = list(value or ())
        return json.dumps(values) if dialect.name == "sqlite" else values


class Among(FunctionElement[bool]):
    """The condition that a column has one of the values of a parameter."""

    inherit_cache = True
    type = Boolean()
    name = "among"

    def self_group(self, against: OperatorType | None = None) -> "Among":  # noqa: ARG002 - the base's signature
        """Return this as it is: SQLite, without a type for yes and no, would else be asked whether it is 1."""
        return self


@compiles(Among, "sqlite")
def _on_sqlite(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - the parts are compiled, values are bound


@compiles(Among, "postgresql")
def _on_postgresql(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY({values})"


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column of whole numbers or texts has one of the values of the parameter `name`."""
    of = BigInteger if isinstance(column.type, BigInteger) else Text
    values: BindParameter[Collection[Any]] = bindparam(name, type_=Values(of))
    return Among(column, values)


class JsonRows(TypeDecorator[Collection[Collection[Any]]]):
    """A parameter that holds rows of whole numbers and texts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Collection[Collection[Any]] | None, dialect: Dialect) -> str:  # noqa: ARG002 - the base's signature
        """Return them as JSON."""
        return json.dumps(list(value or ()))


class EachRow(FunctionElement[Any]):
    """The rows of a parameter as a table of one column, `value`."""

    inherit_cache = True
    type = Text()
    name = "each_row"


@compiles(EachRow, "sqlite")
def _rows_on_sqlite(element: EachRow, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(EachRow, "postgresql")
def _rows_on_postgresql(element: EachRow, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS JSON))"


class Field(FunctionElement[Any]):
    """One value of such a row; where it stands is handed over as a number."""

    inherit_cache = True
    name = "field"

    def __init__(self, row: ColumnElement[Any], place: int, of: TypeEngine[Any]) -> None:
        super().__init__(row, literal_column(str(place)))
        self.type = of


@compiles(Field, "sqlite")
def _field_on_sqlite(element: Field, compiler: SQLCompiler, **options: Any) -> str:
    row, place = (compiler.process(part, **options) for part in element.clauses)
    return f"json_extract({row}, '$[{place}]')"


@compiles(Field, "postgresql")
def _field_on_postgresql(element: Field, compiler: SQLCompiler, **options: Any) -> str:
    row, place = (compiler.process(part, **options) for part in element.clauses)
    return f"({row} ->> {place})::{'bigint' if isinstance(element.type, BigInteger) else 'text'}"


def rows_of(name: str, **columns: TypeEngine[Any]) -> Subquery:
    """Return the rows of the parameter `name` as something to select from, with these columns of numbers or texts."""
    given: BindParameter[Collection[Collection[Any]]] = bindparam(name, type_=JsonRows())
    each = EachRow(given).table_valued("value")
    fields = [Field(each.c.value, place, of).label(column) for place, (column, of) in enumerate(columns.items())]
    return select(*fields).subquery(name)
