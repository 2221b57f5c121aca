"""How `rest` signs in: the settings, and what the core makes of them."""

from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from adapters._rest_expressions import Expression, HeaderName, Table, Unfit, mistake
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import (
    Authentication,
    BasicAuthentication,
    HeaderAuthentication,
    ParameterAuthentication,
    Response,
    SessionAuthentication,
    TokenAuthentication,
)


class HeaderOptions(Table):
    """A header with a secret."""

    secret: SecretStr = Field(description="The token or key.")
    name: HeaderName = Field("Authorization", description="Name of the header.")
    scheme: str = Field("", description="Word before the secret, such as Bearer or Token.")


class BasicOptions(Table):
    """User name and password."""

    user: str = Field(description="Login.")
    secret: SecretStr = Field(description="Password or key.")


class ParameterOptions(Table):
    """A secret in every query."""

    name: str = Field(description="Name of the parameter.")
    secret: SecretStr = Field(description="The key.")


class TokenOptions(Table):
    """OAuth 2."""

    path: str = Field(description="Path that gives out tokens.")
    client_id: str = Field(description="Identifier of the client.")
    client_secret: SecretStr = Field(description="Secret of the client.")
    form: dict[str, str] = Field({"grant_type": "client_credentials"}, description="What else is sent, plain.")
    secret_form: dict[str, SecretStr] = Field({}, description="What else is sent and secret, such as refresh_token.")
    as_json: bool = Field(False, description="Send JSON rather than a form.")
    scheme: str = Field("Bearer", description="Word before the token in the header Authorization.")
    base_url: str = Field("", description="Where tokens are given out, if at another host.")


class SessionOptions(Table):
    """A session that is opened first."""

    path: str = Field(description="Path that opens a session.")
    answer_key: str = Field(description="Key of the answer that holds it.")
    headers: dict[HeaderName, SecretStr] = Field(
        {}, description="Headers of the request that opens it (a GET without form)."
    )
    form: dict[str, str] | None = Field(None, description="What is sent as JSON, plain.")
    secret_form: dict[str, SecretStr] = Field({}, description="What is sent as JSON and secret.")
    header: HeaderName = Field("", description="Header that carries the session.")
    parameter: str = Field("", description="Parameter that carries it, if no header does.")

    over: Expression | None = Field(None, description="Gives true on an answer with status 200 that says it is over.")

    @model_validator(mode="after")
    def _one_carrier(self) -> Self:
        if bool(self.header) == bool(self.parameter):
            raise mistake("give header or parameter, one of them: it carries the session")
        return self


class AuthenticationOptions(Table):
    """One way to sign in."""

    header: HeaderOptions | None = Field(None, description="A header with a secret.")
    basic: BasicOptions | None = Field(None, description="User name and password.")
    parameter: ParameterOptions | None = Field(None, description="A secret in every query.")
    token: TokenOptions | None = Field(None, description="OAuth 2: client credentials or a refresh token.")
    session: SessionOptions | None = Field(None, description="A session that is opened first.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise mistake(f"give exactly one of the tables {', '.join(type(self).model_fields)}")
        return self


def authentication_of(options: AuthenticationOptions) -> Authentication:
    """Return how requests are signed."""
    if header := options.header:
        return HeaderAuthentication(header.secret, header.name, header.scheme)
    if basic := options.basic:
        return BasicAuthentication(basic.user, basic.secret)
    if parameter := options.parameter:
        return ParameterAuthentication({parameter.name: parameter.secret})
    if token := options.token:
        return TokenAuthentication(
            token.path,
            token.client_id,
            token.client_secret,
            form=dict(token.form),
            secret_form=token.secret_form,
            as_json=token.as_json,
            scheme=token.scheme,
            base_url=token.base_url,
        )
    if session := options.session:
        return _session(session)
    raise AssertionError("the settings hold exactly one")


def _session(session: SessionOptions) -> SessionAuthentication:
    posted = session.form is not None or session.secret_form
    return SessionAuthentication(
        session.path,
        session.answer_key,
        headers=session.headers,
        form={**(session.form or {}), **session.secret_form} if posted else None,
        header=session.header,
        parameter=session.parameter,
        is_over=lambda response: session.over is not None and _says(session.over, response),
    )


def _says(expression: Expression, response: Response) -> bool:
    """Tell whether an answer says that the session is over; one that cannot be read says nothing."""
    try:
        value: Any = response.json()
        return expression.find(value) is True
    except (UnexpectedAnswer, Unfit):
        return False
