"""From an error to an HTTP answer."""

import json

import pytest

from tokenforge.domain import errors
from tokenforge.protocol.problem import problem_of, status_of

FAULT = errors.Fault(field="top_p", value=7, message="is out of range", hint="write 0 to 1")


def every_kind(root: type[errors.TokenForgeError] = errors.TokenForgeError) -> list[type[errors.TokenForgeError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in every_kind(child))]


def test_every_error_has_a_status() -> None:
    assert all(400 <= status_of(kind) < 600 for kind in every_kind())


def test_a_new_kind_inherits_the_status_of_its_parent() -> None:
    class Narrower(errors.InvalidRequest):
        """A kind that the table does not name."""

    assert status_of(Narrower) == 400


def test_openai_errors_name_the_field() -> None:
    body = json.loads(problem_of(errors.InvalidInput([FAULT])).openai_body())
    assert body["error"]["param"] == "top_p"
    assert body["error"]["type"] == "invalid_request_error"
    assert "top_p = 7: is out of range (write 0 to 1)" in body["error"]["message"]


def test_problem_details_list_each_fault() -> None:
    body = json.loads(problem_of(errors.InvalidInput([FAULT, FAULT])).problem_body())
    assert body["status"] == 400
    assert body["errors"][0] == {"field": "top_p", "value": 7, "message": "is out of range", "hint": "write 0 to 1"}
    assert len(body["errors"]) == 2


@pytest.mark.parametrize("error", [errors.Overloaded("full", retry_after_s=1.2), errors.NotReady("l", retry_after_s=2)])
def test_what_may_pass_later_says_when(error: errors.TokenForgeError) -> None:
    assert problem_of(error).headers == {"retry-after": "2"}


def test_a_stranger_is_a_500_that_tells_nothing() -> None:
    problem = problem_of(ValueError("secret"))
    assert problem.status == 500
    assert b"secret" not in problem.openai_body() + problem.problem_body()


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**4000, "\ud800", ["x" * 500]])
def test_whatever_stood_there_the_answer_is_json_that_anybody_reads(value: object) -> None:
    fault = errors.Fault(field="seed\ud800", value=value, message="is wrong \udc00")
    for body in (
        problem_of(errors.InvalidInput([fault])).problem_body(),
        problem_of(errors.InvalidInput([fault])).openai_body(),
    ):
        json.dumps(json.loads(body, parse_constant=pytest.fail), ensure_ascii=False).encode()
        assert len(body) < 1000


@pytest.mark.parametrize("field", ["engine_args.openai.api_key", "env", "env[3]", "hf_token", "Authorization"])
def test_a_field_that_is_named_like_a_secret_keeps_its_value(field: str) -> None:
    fault = errors.Fault(field=field, value="sk-canary", message="is unknown")
    problem = problem_of(errors.InvalidInput([fault]))
    assert b"sk-canary" not in problem.problem_body() + problem.openai_body()
    assert b"(hidden)" in problem.problem_body()


def test_a_count_of_tokens_is_no_secret() -> None:
    assert "= 7" in str(errors.Fault(field="max_tokens", value=7, message="is wrong"))
