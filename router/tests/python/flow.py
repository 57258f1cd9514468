#!/usr/bin/env python3
"""A collector of flow records with qpid-proton.

usage: flow.py URL SOURCES KIND...

Listens for beacons at URL until it knows SOURCES sources, and asks each for all its records.

Ends as soon as it has a record of each router and of each KIND. A KIND is a number; with ":end" the
record must have ended. Prints one JSON object: by identity the attributes of each record, by number.
Prints "seen" on standard error once there is a record of each kind, ended or not.
"""
import json
import socket
import sys

from proton import Message
from proton.handlers import MessagingHandler
from proton.reactor import Container

TIMEOUT = 60
ROUTER = 1
FLOW = 16
END = 4
NAME = 30


class Collector(MessagingHandler):
    def __init__(self, url, sources, kinds):
        super().__init__()
        self.url, self.wanted = url, int(sources)
        self.kinds = {int(kind.split(":")[0]) for kind in kinds}
        self.ended = {int(kind.split(":")[0]) for kind in kinds if kind.endswith(":end")}
        self.sources, self.records, self.seen = {}, {}, False

    def on_start(self, event):
        self.timer = event.reactor.schedule(TIMEOUT, self)
        self.connection = event.container.connect(self.url, reconnect=False, allowed_mechs="ANONYMOUS")
        event.container.create_receiver(self.connection, "mc/sfe.all")

    def on_timer_task(self, event):
        self.connection.close()

    def on_link_opened(self, event):
        if event.receiver and (event.receiver.source.address or "").endswith(".logs"):
            # Bytes other than AMQP cause a line of the log.
            host, port = self.url.removeprefix("amqp://").split(":")
            with socket.create_connection((host, int(port)), TIMEOUT) as stream:
                stream.sendall(b"no AMQP at all\r\n")

    def on_sendable(self, event):
        event.sender.send(Message(subject="FLUSH"))
        event.sender.close()

    def on_message(self, event):
        message = event.message
        if message.subject == "BEACON" and message.properties["id"] not in self.sources:
            properties = self.sources[message.properties["id"]] = message.properties
            event.container.create_receiver(self.connection, properties["address"])
            for more in [".flows", ".logs"]:
                event.container.create_receiver(self.connection, properties["address"] + more)
        elif message.subject == "HEARTBEAT":
            source = self.sources.get(message.properties["id"])
            if source and not source.get("asked"):
                source["asked"] = True
                event.container.create_sender(self.connection, source["direct"])
        elif message.subject == "RECORD":
            for record in message.body:
                self.records.setdefault(record[1], {}).update({int(key): value for key, value in record.items()})
        # Both routers of a connection must have reported it.
        whole = [record for record in self.records.values() if record.get(0) != FLOW or {4, 60, 61} <= record.keys()]
        told = {record.get(0) for record in whole}
        ended = {record.get(0) for record in whole if END in record}
        # A router reports new records before this collector has asked for all.
        routers = [record for record in self.records.values() if record.get(0) == ROUTER and NAME in record]
        if len(routers) < self.wanted or not self.kinds <= told:
            return
        if not self.seen:
            self.seen = True
            print("seen", file=sys.stderr, flush=True)
        if self.ended <= ended:
            self.timer.cancel()
            self.connection.close()


if __name__ == "__main__":
    collector = Collector(sys.argv[1], sys.argv[2], sys.argv[3:])
    Container(collector).run()
    print(json.dumps(collector.records, default=str))
