"""requests-oauthlib, as its documentation has a first-time user write it, against the built server."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from html import unescape

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain HTTP, on loopback

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError, LegacyApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
CALLBACK = "https://your-app.com/callback"


class Server:
    def __init__(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.folder = tempfile.TemporaryDirectory(prefix="keyledger-clients-")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYLEDGER_")}
        environment |= {
            "KEYLEDGER_BOOTSTRAP_EMAIL": EMAIL,
            "KEYLEDGER_BOOTSTRAP_PASSWORD": PASSWORD,
            "KEYLEDGER_BOOTSTRAP_ORG": "acme",
        }
        words = [os.environ["KEYLEDGER_BIN"], "serve", "--listen", f"127.0.0.1:{port}"]
        words += ["--data-dir", os.path.join(self.folder.name, "data")]
        self.log = open(os.path.join(self.folder.name, "log"), "wb")
        self.process = subprocess.Popen(words, env=environment, stdout=self.log, stderr=self.log)
        for _ in range(300):
            try:
                urllib.request.urlopen(self.url + "/health/ready")
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def register(self, **settings):
        pair = base64.b64encode(f"{EMAIL}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.url + "/v1/orgs/acme/clients",
            json.dumps({"scopes": ["files:read", "files:write"], **settings}).encode(),
            {"Authorization": f"Basic {pair}", "Content-Type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request))

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def fields(html):
    tags = re.findall(r"<input[^>]*>", html)
    named = ((re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)) for tag in tags)
    return {name[1]: unescape(value[1]) if value else "" for name, value in named if name}


def allow(server, address):
    """A person without JavaScript: logs in, says yes, and is sent back."""
    jar = {}

    def go(to, form=None):
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        to = requests.compat.urljoin(server.url, to)
        method = "POST" if form else "GET"
        answer = requests.request(method, to, data=form, headers={"Cookie": cookies}, allow_redirects=False)
        # The cookies are for HTTPS, as they are for a browser on loopback.
        for line in answer.raw.headers.getlist("Set-Cookie"):
            name, _, value = line.split(";")[0].partition("=")
            jar[name] = value
        return answer

    answer = go(address)
    for _ in range(10):
        to = answer.headers.get("Location")
        if to and not requests.compat.urljoin(server.url, to).startswith(server.url):
            return to
        if to:
            answer = go(to)
            continue
        form = fields(answer.text)
        if "password" in form:
            answer = go("/login", {**form, "email": EMAIL, "password": PASSWORD})
        else:
            answer = go("/oauth/authorize", {**form, "decision": "allow"})
    raise RuntimeError("the authorisation does not come to an end")


def backend_application(server):
    client = server.register(name="Backend", grant_types=["client_credentials"])
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["client_id"]))
    url = server.url + "/oauth/token"
    token = session.fetch_token(token_url=url, client_id=client["client_id"], client_secret=client["client_secret"])
    assert token["token_type"].lower() == "bearer" and set(token["scope"]) == {"files:read", "files:write"}, token["scope"]
    assert session.get(server.url + "/v1/me").json()["type"] == "client"
    by_basic = HTTPBasicAuth(client["client_id"], client["client_secret"])
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["client_id"], scope=["files:read"]))
    assert session.fetch_token(token_url=url, auth=by_basic)["scope"] == ["files:read"]


def web_application(server):
    client = server.register(
        name="Web", grant_types=["authorization_code", "refresh_token"], redirect_uris=[CALLBACK]
    )
    kept = []
    session = OAuth2Session(
        client["client_id"],
        redirect_uri=CALLBACK,
        scope=["files:read", "files:write"],
        pkce="S256",
        auto_refresh_url=server.url + "/oauth/token",
        auto_refresh_kwargs={"client_id": client["client_id"], "client_secret": client["client_secret"]},
        token_updater=kept.append,
    )
    address, state = session.authorization_url(server.url + "/oauth/authorize")
    back = allow(server, address)
    assert f"state={state}" in back
    token = session.fetch_token(
        server.url + "/oauth/token", authorization_response=back, client_secret=client["client_secret"]
    )
    assert session.get(server.url + "/v1/me").json()["email"] == EMAIL
    # It refreshes by itself once it thinks that the token has ended.
    session.token = {**token, "expires_at": time.time() - 1}
    assert session.get(server.url + "/v1/me").json()["email"] == EMAIL
    assert kept and kept[0]["refresh_token"] != token["refresh_token"]
    try:
        session.refresh_token(server.url + "/oauth/token", refresh_token=token["refresh_token"])
    except InvalidGrantError:
        pass
    else:
        raise AssertionError("a used refresh token was taken")


def passwords_are_no_grant(server):
    client = server.register(name="Legacy", grant_types=["client_credentials"])
    session = OAuth2Session(client=LegacyApplicationClient(client_id=client["client_id"]))
    try:
        session.fetch_token(
            server.url + "/oauth/token", username=EMAIL, password=PASSWORD,
            client_id=client["client_id"], client_secret=client["client_secret"],
        )
    except OAuth2Error as error:
        assert error.error == "unsupported_grant_type", error.error
    else:
        raise AssertionError("a password was taken for a grant")


def main():
    server = Server()
    passed = failed = 0
    try:
        for test in (backend_application, web_application, passwords_are_no_grant):
            try:
                test(server)
                passed += 1
                print(f"ok    requests-oauthlib: {test.__name__}")
            except Exception:
                failed += 1
                print(f"FAIL  requests-oauthlib: {test.__name__}")
                traceback.print_exc()
    finally:
        server.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
