"""A mail server that keeps what it gets, for the tests.

    smtp.py PORT starttls|implicit|plain CERTIFICATE KEY FOLDER USER PASSWORD

Each mail becomes a file in FOLDER, its envelope in front of it. Without a login no client may send.
The recipient `gone` does not exist.
"""

import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, mode, certificate, key, folder, user, password = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Keep:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, server, session, envelope):
        Keep.count += 1
        path = os.path.join(folder, f"{Keep.count}")
        with open(path + ".part", "wb") as file:
            file.write(f"tls={session.ssl is not None or mode == 'implicit'} to={','.join(envelope.rcpt_tos)}\n".encode())
            file.write(envelope.original_content)
        os.rename(path + ".part", path + ".eml")
        return "250 kept"


def login(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=False)


def connection():
    tls = mode == "starttls"
    return SMTP(
        Keep(),
        tls_context=context if tls else None,
        require_starttls=tls,
        auth_require_tls=tls,
        auth_required=mode != "plain",
        authenticator=login,
    )


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", int(port), ssl=context if mode == "implicit" else None)
    await server.serve_forever()


asyncio.run(main())
