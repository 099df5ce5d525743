# Answers GET /my/call-token with a token for the person who is signed in. Python 3.9 or newer, nothing to install.
#
#   JWT_SECRET=… PORT=3000 python3 server.py
import base64, hashlib, hmac, json, os, time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = os.environ["JWT_SECRET"].encode()  # The service's JWT_SECRET.


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def call_token(person: dict) -> str:
    claims = {
        "sub": person["id"],  # A text, the same each time.
        "extension_ids": [person["extension"]],  # Or "role": "admin", who sees every call.
        "exp": int(time.time()) + 600,  # In seconds, not milliseconds.
    }
    signed = ".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
    return signed + "." + part(hmac.new(SECRET, signed.encode(), hashlib.sha256).digest())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        # Whoever your session says; answer 401 where nobody is signed in.
        person = {"id": "dana", "extension": "101"} if self.path == "/my/call-token" else None
        self.send_response(200 if person else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if person:
            self.wfile.write(call_token(person).encode())


HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler).serve_forever()
