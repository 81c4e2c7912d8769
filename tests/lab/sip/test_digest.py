"""Digest authentication against the examples of the RFCs, and the server's refusals."""

from __future__ import annotations

import random

import pytest

from siplab.lab.sip.digest import Answerer, Authority, Outcome, digest_response, parameters

URI = b"sip:lab.test"


def test_the_example_of_rfc_2617_section_3_5() -> None:
    assert (
        digest_response(
            b"MD5",
            b"Mufasa",
            b"testrealm@host.com",
            b"Circle Of Life",
            b"GET",
            b"/dir/index.html",
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop=b"auth",
            nc=b"00000001",
            cnonce=b"0a4f113b",
        )
        == b"6629fae49393a05397450978507c4ef1"
    )


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (b"MD5", b"8ca523f5e9506fed4657c9700eebdbec"),
        (b"SHA-256", b"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_section_3_9_1(algorithm: bytes, expected: bytes) -> None:
    assert (
        digest_response(
            algorithm,
            b"Mufasa",
            b"http-auth@example.org",
            b"Circle of Life",
            b"GET",
            b"/dir/index.html",
            b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop=b"auth",
            nc=b"00000001",
            cnonce=b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )
        == expected
    )


def test_parameters_are_unquoted_and_another_scheme_is_none() -> None:
    assert parameters(b'Digest  realm="a, b=c" ,NONCE=xyz,qop="auth"') == {
        b"realm": b"a, b=c",
        b"nonce": b"xyz",
        b"qop": b"auth",
    }
    assert parameters(b"Basic QWxhZGRpbg==") is None


def authority(**changes: object) -> Authority:
    return Authority("lab.test", {"alice": "secret"}, random.Random(1), **changes)  # type: ignore[arg-type]


def client(password: str = "secret", user: str = "alice") -> Answerer:
    return Answerer(user, password, random.Random(2))


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_right_password_is_granted(algorithm: str) -> None:
    server, alice = authority(algorithm=algorithm), client()
    assert alice.accept([server.challenge(0.0)])
    verdict = server.verify(b"REGISTER", URI, alice.credentials(b"REGISTER", URI), 0.0)
    assert (verdict.outcome, verdict.user) == (Outcome.GRANTED, "alice")


@pytest.mark.parametrize("who", [client("guess"), client(user="mallory")])
def test_a_wrong_password_or_user_is_refused_and_not_tried_again(who: Answerer) -> None:
    server = authority()
    assert who.accept([server.challenge(0.0)])
    assert server.verify(b"REGISTER", URI, who.credentials(b"REGISTER", URI), 0.0).outcome is Outcome.WRONG
    assert not who.accept([server.challenge(0.0)])


def test_a_signature_covers_the_method() -> None:
    server, alice = authority(), client()
    alice.accept([server.challenge(0.0)])
    assert server.verify(b"INVITE", URI, alice.credentials(b"REGISTER", URI), 0.0).outcome is Outcome.WRONG


def test_a_nonce_count_is_good_once() -> None:
    server, alice = authority(), client()
    alice.accept([server.challenge(0.0)])
    first = alice.credentials(b"REGISTER", URI)
    second = alice.credentials(b"REGISTER", URI)
    assert b"nc=00000002" in second
    outcomes = [server.verify(b"REGISTER", URI, each, 0.0).outcome for each in (first, second, second, first)]
    assert outcomes == [Outcome.GRANTED, Outcome.GRANTED, Outcome.REPLAYED, Outcome.REPLAYED]


def test_a_nonce_grows_stale_and_stale_is_worth_another_try() -> None:
    server, alice = authority(nonce_lifetime=300.0), client()
    alice.accept([server.challenge(0.0)])
    assert server.verify(b"REGISTER", URI, alice.credentials(b"REGISTER", URI), 299.0).granted
    stale = server.verify(b"REGISTER", URI, alice.credentials(b"REGISTER", URI), 300.0)
    assert stale.outcome is Outcome.STALE
    assert alice.accept([server.challenge(300.0, stale=True)])
    assert server.verify(b"REGISTER", URI, alice.credentials(b"REGISTER", URI), 300.0).granted


def test_a_nonce_of_another_server_is_stale_not_wrong() -> None:
    elsewhere, server, alice = (
        authority(),
        Authority("lab.test", {"alice": "secret"}, random.Random(9)),
        client(),
    )
    alice.accept([elsewhere.challenge(0.0)])
    verdict = server.verify(b"REGISTER", URI, alice.credentials(b"REGISTER", URI), 0.0)
    assert verdict.outcome is Outcome.STALE


@pytest.mark.parametrize(("strict", "outcome"), [(True, Outcome.URI_MISMATCH), (False, Outcome.GRANTED)])
def test_only_a_strict_server_compares_the_signed_uri(strict: bool, outcome: Outcome) -> None:
    server, alice = authority(strict_uri=strict), client()
    alice.accept([server.challenge(0.0)])
    credentials = alice.credentials(b"REGISTER", b"sip:198.51.100.10")
    assert server.verify(b"REGISTER", b"sip:203.0.113.7", credentials, 0.0).outcome is outcome


@pytest.mark.parametrize("credentials", [None, b"", b"Basic xyz", b'Digest realm="elsewhere", nonce="x"'])
def test_without_credentials_for_this_realm(credentials: bytes | None) -> None:
    assert authority().verify(b"REGISTER", URI, credentials, 0.0).outcome is Outcome.MISSING


def test_the_client_takes_the_first_challenge_that_it_can_answer() -> None:
    alice = client()
    assert not alice.accept([b'Digest realm="r", nonce="n", algorithm=SHA-512-256', b"Basic realm=r"])
    assert alice.accept(
        [
            b'Digest realm="r", nonce="1", qop="auth-int"',
            b'Digest realm="r", nonce="2", opaque="o", qop="auth-int,auth", algorithm=SHA-256',
            b'Digest realm="r", nonce="3"',
        ]
    )
    found = parameters(alice.credentials(b"REGISTER", URI))
    assert found is not None
    assert (found[b"nonce"], found[b"opaque"], found[b"qop"], found[b"algorithm"]) == (
        b"2",
        b"o",
        b"auth",
        b"SHA-256",
    )


def test_a_challenge_without_qop_is_answered_as_in_rfc_2069() -> None:
    alice = client()
    assert alice.accept([b'Digest realm="r", nonce="n"'])
    found = parameters(alice.credentials(b"REGISTER", URI))
    assert found is not None
    assert b"qop" not in found
    assert b"nc" not in found
    assert found[b"response"] == digest_response(b"MD5", b"alice", b"r", b"secret", b"REGISTER", URI, b"n")


def test_nonces_that_are_no_longer_good_are_not_kept() -> None:
    server = authority(nonce_lifetime=10.0)
    for second in range(100):
        server.challenge(float(second))
    assert server.nonces == 10


def test_an_algorithm_that_is_not_spoken_is_an_error() -> None:
    with pytest.raises(ValueError, match="SHA-512"):
        authority(algorithm="SHA-512")
