#!/usr/bin/env python3
"""A client with qpid-proton behind a small command line, to test access.

usage: access.py URL [--user NAME PASSWORD] [--vhost HOST] [STEP ...]

Opens a connection and takes the steps in turn. Prints one JSON object: "opened" or "error", the
properties of the peer's open, and the result of each step. Steps:

  receive:ADDRESS           attaches a link to receive on; empty for a dynamic address
  send:ADDRESS              attaches a link to send on; empty if each message names its own address
  message:TO:USER:OCTETS    sends a message on a link without an address
"""
import json
import sys

from proton import ConnectionException, Delivery, Message, ProtonException
from proton.utils import BlockingConnection, LinkDetached, SendException

TIMEOUT = 15

OUTCOMES = {
    Delivery.ACCEPTED: "accepted",
    Delivery.REJECTED: "rejected",
    Delivery.RELEASED: "released",
    Delivery.MODIFIED: "modified",
}


def reason(error):
    return str(error)


def take(connection, step):
    kind, _, rest = step.partition(":")
    try:
        if kind == "receive":
            connection.create_receiver(rest or None, dynamic=not rest)
        elif kind == "send":
            connection.create_sender(rest or None)
        else:
            to, user, octets = rest.rsplit(":", 2)
            message = Message(address=to, body=b"x" * int(octets))
            if user:
                message.user_id = user.encode()
            sender = connection.create_sender(None)
            return OUTCOMES.get(sender.send(message, timeout=TIMEOUT).remote_state)
    except SendException as error:
        return OUTCOMES.get(error.state)
    except (LinkDetached, ConnectionException, ProtonException) as error:
        return reason(error)
    return "ok"


def main(arguments):
    url, rest = arguments[0], arguments[1:]
    options = {"allowed_mechs": "ANONYMOUS"}
    while rest and rest[0].startswith("--"):
        if rest[0] == "--user":
            options.update(allowed_mechs="PLAIN", user=rest[1], password=rest[2], allow_insecure_mechs=True)
            rest = rest[3:]
        else:
            options["virtual_host"], rest = rest[1], rest[2:]
    try:
        connection = BlockingConnection(url, timeout=TIMEOUT, **options)
    except ProtonException as error:
        return {"opened": False, "error": reason(error)}
    conn = connection.conn
    result = {
        "opened": True,
        "user": conn.transport.user,
        "max_frame_size": conn.transport.remote_max_frame_size,
        "channel_max": conn.transport.remote_channel_max,
        "properties": json.loads(json.dumps({str(key): value for key, value in (conn.remote_properties or {}).items()}, default=str)),
    }
    result["steps"] = [take(connection, step) for step in rest]
    try:
        connection.close()
    except ProtonException as error:
        result["error"] = reason(error)
    return result


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
