#!/usr/bin/env python3
"""An independent AMQP peer: qpid-proton behind a small command line.

usage: peer.py open URL [--tls CA CERT KEY] [--sasl MECHANISM | --no-sasl]
       peer.py exchange URL COUNT SIZE ADDRESS
       peer.py raw HOST PORT HEX [HEX ...]
       peer.py manage URL ADDRESS REQUESTS

open      opens a connection, and prints the peer's open and the result as one JSON object
exchange  sends COUNT messages of SIZE bytes to ADDRESS, receives them over a second connection,
          and prints counts
raw       sends each HEX over a TCP connection of its own, ends that half, and prints the answers
          as hexadecimal JSON
manage    sends management requests to ADDRESS, each after the response to the one before, and
          prints a list of [status code, description, body]; REQUESTS is a JSON list of pairs of
          application properties and body

The exit status is 0 if the conversation took place. The caller judges the output.
"""
import json
import socket
import sys

from proton import Message, SSLDomain
from proton.handlers import MessagingHandler
from proton.reactor import Container

TIMEOUT = 20.0


def plain(value):
    """Returns an AMQP value in the types of JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "elements"):
        return [plain(item) for item in value.elements]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    return str(value)


class Limited(MessagingHandler):
    """A handler with a time limit."""

    def __init__(self, **options):
        super().__init__(**options)
        self.result = {"timed_out": False}

    def on_start(self, event):
        self.timer = event.reactor.schedule(TIMEOUT, self)
        self.begin(event)

    def on_timer_task(self, event):
        self.result["timed_out"] = True
        event.container.stop()

    def fail(self, event, key, condition):
        self.result[key] = {"name": condition.name, "description": condition.description} if condition else None
        event.container.stop()

    def on_transport_error(self, event):
        self.fail(event, "transport_error", event.transport.condition)

    def on_connection_error(self, event):
        self.fail(event, "connection_error", event.connection.remote_condition)


class Open(Limited):
    def __init__(self, url, options):
        super().__init__()
        self.url, self.options = url, options

    def begin(self, event):
        event.container.connect(self.url, reconnect=False, heartbeat=8, **self.options)

    def on_connection_opened(self, event):
        connection, transport = event.connection, event.transport
        sasl = transport.sasl() if self.options.get("sasl_enabled", True) else None
        self.result.update(
            container=connection.remote_container,
            hostname=connection.remote_hostname,
            offered=plain(connection.remote_offered_capabilities),
            desired=plain(connection.remote_desired_capabilities),
            properties=plain(connection.remote_properties),
            max_frame_size=transport.remote_max_frame_size,
            channel_max=transport.remote_channel_max,
            idle_timeout=transport.remote_idle_timeout,
            mechanism=sasl.mech if sasl else None,
            user=transport.user,
        )
        connection.close()

    def on_connection_closed(self, event):
        self.result["closed"] = True
        self.timer.cancel()


class Exchange(Limited):
    def __init__(self, url, count, size, address):
        super().__init__(prefetch=50)
        self.url, self.count, self.address = url, count, address
        self.body = bytes(index % 251 for index in range(size))
        self.result.update(sent=0, accepted=0, received=0, intact=0)

    def begin(self, event):
        options = {"reconnect": False, "allowed_mechs": "ANONYMOUS"}
        self.connections = [event.container.connect(self.url, **options) for _ in range(2)]
        event.container.create_receiver(self.connections[0], self.address)

    def on_link_opened(self, event):
        if event.receiver:
            event.container.create_sender(self.connections[1], self.address)

    def on_sendable(self, event):
        while event.sender.credit and self.result["sent"] < self.count:
            event.sender.send(Message(id=self.result["sent"], subject="test", body=self.body))
            self.result["sent"] += 1

    def on_accepted(self, event):
        self.result["accepted"] += 1
        self.finish()

    def on_message(self, event):
        good = bytes(event.message.body) == self.body and event.message.id == self.result["received"]
        self.result["received"] += 1
        self.result["intact"] += good
        self.finish()

    def finish(self):
        if self.result["accepted"] == self.result["received"] == self.count:
            self.timer.cancel()
            for connection in self.connections:
                connection.close()


class Manage(Limited):
    def __init__(self, url, address, requests):
        super().__init__()
        self.url, self.address, self.requests = url, address, requests
        self.result = []

    def begin(self, event):
        connection = event.container.connect(self.url, reconnect=False, allowed_mechs="ANONYMOUS")
        self.receiver = event.container.create_receiver(connection, None, dynamic=True)
        self.sender = event.container.create_sender(connection, self.address)

    def on_link_opened(self, event):
        if event.receiver:
            self.ask()

    def on_sendable(self, event):
        self.ask()

    def ask(self):
        reply_to = self.receiver.remote_source.address
        if not reply_to or not self.sender.credit or len(self.result) != getattr(self, "asked", 0):
            return
        if len(self.result) == len(self.requests):
            self.timer.cancel()
            self.sender.connection.close()
            return
        properties, body = self.requests[len(self.result)]
        self.asked = len(self.result) + 1
        self.sender.send(Message(reply_to=reply_to, correlation_id=self.asked, properties=properties, body=body))

    def on_message(self, event):
        message = event.message
        assert int(message.correlation_id) == self.asked, message
        properties = message.properties
        self.result.append([int(properties["statusCode"]), properties["statusDescription"], plain(message.body)])
        self.ask()

    def on_timer_task(self, event):
        self.result.append([0, "no answer", None])
        event.container.stop()


def raw(host, port, messages):
    answers = []
    for message in messages:
        with socket.create_connection((host, int(port)), TIMEOUT) as stream:
            stream.settimeout(TIMEOUT)
            answer, ended = b"", True
            try:
                stream.sendall(bytes.fromhex(message))
                stream.shutdown(socket.SHUT_WR)
                while octets := stream.recv(65536):
                    answer += octets
            except TimeoutError:
                ended = False
            except OSError:
                pass
        answers.append({"answer": answer.hex(), "ended": ended})
    return answers


def main(arguments):
    command, *rest = arguments
    if command == "raw":
        return raw(rest[0], rest[1], rest[2:])
    if command == "manage":
        handler = Manage(rest[0], rest[1], json.loads(rest[2]))
    elif command == "exchange":
        handler = Exchange(rest[0], int(rest[1]), int(rest[2]), rest[3])
    else:
        options = {}
        url, rest = rest[0], rest[1:]
        while rest:
            option, *rest = rest
            if option == "--tls":
                domain = SSLDomain(SSLDomain.MODE_CLIENT)
                domain.set_trusted_ca_db(rest[0])
                domain.set_credentials(rest[1], rest[2], None)
                domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
                options["ssl_domain"], rest = domain, rest[3:]
            elif option == "--sasl":
                options["allowed_mechs"], rest = rest[0], rest[1:]
            elif option == "--no-sasl":
                options["sasl_enabled"] = False
        handler = Open(url, options)
    container = Container(handler)
    container.container_id = "independent-peer"
    container.run()
    return handler.result


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
