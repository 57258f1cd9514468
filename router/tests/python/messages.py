#!/usr/bin/env python3
"""AMQP clients with qpid-proton behind a small command line, to test message routing.

usage: messages.py SCENARIO URL URL [ARGUMENT ...]

The first URL is the sender's router, the second the receivers'. Prints one JSON object, which the
caller judges.

carry ADDRESS COUNT SIZE RECEIVERS
    sends COUNT messages to ADDRESS until all have an outcome and no more arrive
outcomes ADDRESS
    the receiver accepts, rejects, modifies and releases one message each
request ADDRESS
    the response to a request arrives at the client's dynamic address
credit ADDRESS
    whether a sender has credit without, with and again without a receiver
unknown ADDRESS
    an anonymous sender names an address without a consumer
three-ack ADDRESS
    the receiver settles only after the sender
stalled ADDRESS SIZE
    a receiver gives no credit for a large message, and another message overtakes it
resend ADDRESS
    of two receivers the first to get the message releases it
unknown-to ADDRESS
    whether a message from the first router finds a receiver at the second
refused ADDRESS
    the errors of a sender and a receiver of ADDRESS
extended ADDRESS
    sender and receiver use delivery states of their own, and then the sender settles
between ADDRESS SOURCE COUNT
    sends COUNT messages to ADDRESS, which arrive at SOURCE
"""
import json
import sys

from proton import Delivery, Message, symbol
from proton.handlers import MessagingHandler
from proton.reactor import AtLeastOnce, Container, LinkOption

TIMEOUT = 30.0
OUTCOMES = {Delivery.ACCEPTED: "accepted", Delivery.REJECTED: "rejected", Delivery.RELEASED: "released", Delivery.MODIFIED: "modified"}


class Capability(LinkOption):
    def __init__(self, name):
        self.name = name

    def apply(self, link):
        link.target.capabilities.put_object(symbol(self.name))

    def test(self, link):
        return link.is_sender


class SecondMode(LinkOption):
    def apply(self, link):
        link.rcv_settle_mode = 1


class Scenario(MessagingHandler):
    options = {}

    def __init__(self, sender_url, receiver_url, address, *arguments):
        super().__init__(**self.options)
        self.urls, self.address, self.arguments = (sender_url, receiver_url), address, arguments
        self.result = {"timed_out": False, "outcomes": [], "received": []}
        self.asked = False

    def on_start(self, event):
        self.container, self.reactor = event.container, event.reactor
        self.timer = event.reactor.schedule(TIMEOUT, self)
        self.connections = [event.container.connect(url, reconnect=False) for url in self.urls]
        self.begin()

    def sender(self, address="", **options):
        return self.container.create_sender(self.connections[0], address or self.address, **options)

    def receiver(self, name, **options):
        return self.container.create_receiver(self.connections[1], self.address, name=name, **options)

    def on_timer_task(self, event):
        self.result["timed_out"] = True
        self.container.stop()

    def on_settled(self, event):
        if event.link.is_sender:
            self.result["outcomes"].append(OUTCOMES.get(event.delivery.remote_state, "none"))
            self.progress()

    def progress(self):
        pass

    def done(self):
        self.timer.cancel()
        for connection in self.connections:
            connection.close()


class Carry(Scenario):
    options = {"prefetch": 20}

    def begin(self):
        self.count, size, receivers = map(int, self.arguments)
        self.body, self.sent, self.open = bytes(index % 251 for index in range(size)), 0, receivers
        self.result["received"] = {f"r{index}": 0 for index in range(receivers)}
        self.result["intact"] = True
        for index in range(receivers):
            self.receiver(f"r{index}")

    def on_link_opened(self, event):
        if event.receiver:
            self.open -= 1
            if self.open == 0:
                self.sender()

    def on_sendable(self, event):
        while event.sender.credit and self.sent < self.count:
            event.sender.send(Message(id=self.sent, subject="test", properties={"a": 1}, body=self.body))
            self.sent += 1

    def on_message(self, event):
        message = event.message
        self.result["received"][event.link.name] += 1
        self.result["intact"] &= bytes(message.body) == self.body and message.subject == "test" and message.properties == {"a": 1}
        self.progress()

    def progress(self):
        copies = sum(self.result["received"].values())
        wanted = self.count * (len(self.result["received"]) if self.address.startswith("multicast") else 1)
        if len(self.result["outcomes"]) == self.count and copies == wanted:
            self.done()


class Outcomes(Scenario):
    options = {"auto_accept": False, "auto_settle": True}

    def begin(self):
        self.receiver("r")
        self.sent = 0

    def on_link_opened(self, event):
        if event.receiver:
            self.sender()

    def on_sendable(self, event):
        while event.sender.credit and self.sent < 4:
            event.sender.send(Message(id=self.sent, body="x"))
            self.sent += 1

    def on_message(self, event):
        state = [Delivery.ACCEPTED, Delivery.REJECTED, Delivery.MODIFIED, Delivery.RELEASED][event.message.id]
        event.delivery.update(state)
        event.delivery.settle()

    def progress(self):
        if len(self.result["outcomes"]) == 4:
            self.done()


class Request(Scenario):
    def begin(self):
        self.answers = self.container.create_receiver(self.connections[0], None, dynamic=True)
        self.server = self.receiver("server")
        self.relay = self.container.create_sender(self.connections[1], None)
        self.opened = 0

    def on_link_opened(self, event):
        self.opened += 1
        if self.opened == 3:
            self.client = self.sender()

    def on_sendable(self, event):
        if event.sender != self.relay and not self.asked:
            self.asked = True
            event.sender.send(Message(reply_to=self.answers.remote_source.address, correlation_id="7", body="question"))

    def on_message(self, event):
        if event.receiver == self.server:
            message = event.message
            self.relay.send(Message(address=message.reply_to, correlation_id=message.correlation_id, body="answer"))
        else:
            self.result["received"].append([event.message.correlation_id, event.message.body])
            self.done()


class Credit(Scenario):
    def begin(self):
        self.result["credit"] = []
        self.client = self.sender()
        self.stage = 0

    def on_link_opened(self, event):
        if event.sender:
            self.reactor.schedule(0.3, Later(self.without))

    def without(self):
        self.result["credit"].append(self.client.credit > 0)
        self.consumer = self.receiver("r")

    def on_link_flow(self, event):
        if event.sender and event.sender.credit > 0 and self.stage == 0:
            self.stage = 1
            self.result["credit"].append(True)
            self.consumer.close()
        elif event.sender and self.stage >= 1 and event.sender.drain_mode:
            self.result["credit"].append("drain")
            self.done()


    def on_link_closed(self, event):
        self.stage = 2
        self.reactor.schedule(1.5, Later(lambda: self.client.send(Message(body="x"))))


class Later:
    def __init__(self, call):
        self.call = call

    def on_timer_task(self, event):
        self.call()


class Unknown(Scenario):
    def begin(self):
        self.container.create_sender(self.connections[0], None)
        self.sent = False

    def on_sendable(self, event):
        if not self.sent:
            self.sent = True
            event.sender.send(Message(address=self.address, body="x"))

    def progress(self):
        self.done()


class ThreeAck(Scenario):
    options = {"auto_accept": False, "auto_settle": False, "prefetch": 1}

    def begin(self):
        self.result["steps"] = []
        self.receiver("r", options=SecondMode())

    def on_link_opened(self, event):
        if event.receiver:
            self.sender(options=AtLeastOnce())

    def on_sendable(self, event):
        if not self.result["steps"]:
            self.result["steps"].append("sent")
            event.sender.send(Message(body="x"))

    def on_message(self, event):
        self.result["steps"].append("received")
        event.delivery.update(Delivery.ACCEPTED)

    def on_delivery(self, event):
        delivery = event.delivery
        if event.link.is_sender and delivery.remote_state == Delivery.ACCEPTED and "accepted" not in self.result["steps"]:
            self.result["steps"].append("accepted" + (" and settled" if delivery.settled else ""))
            delivery.settle()
        elif event.link.is_receiver and delivery.settled:
            self.result["steps"].append("settled")
            delivery.settle()
            self.done()


class Stalled(Scenario):
    options = {"prefetch": 0}

    def begin(self):
        self.stalled = self.receiver("stalled")
        self.sent = set()

    def on_link_opened(self, event):
        if event.receiver == self.stalled:
            self.big = self.sender()
        elif event.receiver:
            event.receiver.flow(1)
            self.small = self.sender(self.address + ".other")

    def on_sendable(self, event):
        if event.sender in self.sent:
            return
        self.sent.add(event.sender)
        big = event.sender == self.big
        event.sender.send(Message(body=bytes(int(self.arguments[0])) if big else b"small"))
        if big:
            self.container.create_receiver(self.connections[1], self.address + ".other", name="other")

    def on_message(self, event):
        self.result["received"].append([event.link.name, len(event.message.body)])
        if event.link.name == "other":
            self.stalled.flow(1)
        else:
            self.done()


class Resend(Scenario):
    options = {"auto_accept": False}

    def begin(self):
        for name in ("a", "b"):
            self.receiver(name)
        self.open = 2

    def on_link_opened(self, event):
        if event.receiver:
            self.open -= 1
            if self.open == 0:
                self.sender(options=Capability("qd.resend-released"))

    def on_sendable(self, event):
        if not self.asked:
            self.asked = True
            event.sender.send(Message(body="x"))

    def on_message(self, event):
        first = not self.result["received"]
        self.result["received"].append(event.link.name)
        event.delivery.update(Delivery.RELEASED if first else Delivery.ACCEPTED)
        event.delivery.settle()

    def progress(self):
        self.done()


class Found(Scenario):
    def begin(self):
        self.receiver("r")

    def on_link_opened(self, event):
        if event.receiver:
            self.sender()

    def on_sendable(self, event):
        if not self.asked:
            self.asked = True
            event.sender.send(Message(body="x"))

    def progress(self):
        self.result["found"] = self.result["outcomes"] == ["accepted"]
        self.done()


class Refused(Scenario):
    def begin(self):
        self.sender()
        self.receiver("r")

    def on_link_error(self, event):
        self.result["received"].append(event.link.remote_condition.name)
        if len(self.result["received"]) == 2:
            self.done()


class Extended(Scenario):
    options = {"auto_accept": False, "auto_settle": False}

    def begin(self):
        self.receiver("r")

    def on_link_opened(self, event):
        if event.receiver:
            self.sender()

    def on_sendable(self, event):
        if not self.asked:
            self.asked = True
            delivery = event.sender.delivery("tag")
            delivery.local.data = [1, 2]
            delivery.update(4711)
            event.sender.stream(Message(body="x").encode())
            event.sender.advance()

    def on_message(self, event):
        self.note(event.delivery)
        event.delivery.local.data = [3]
        event.delivery.update(4712)

    def on_delivery(self, event):
        if event.link.is_sender:
            self.note(event.delivery)
            event.delivery.settle()
        elif event.delivery.settled:
            self.result["received"].append("settled")
            event.delivery.settle()
            self.done()

    def note(self, delivery):
        self.result["received"].append([int(delivery.remote_state), delivery.remote.data])


class Between(Scenario):
    def begin(self):
        self.source, self.count, self.sent = self.arguments[0], int(self.arguments[1]), 0
        self.result["received"] = 0
        self.container.create_receiver(self.connections[1], self.source)

    def on_link_opened(self, event):
        if event.receiver:
            self.sender()

    def on_sendable(self, event):
        while event.sender.credit and self.sent < self.count:
            self.sent += 1
            event.sender.send(Message(body="x"))

    def on_message(self, event):
        self.result["received"] += 1
        self.progress()

    def progress(self):
        if self.result["received"] == self.count == len(self.result["outcomes"]):
            self.done()


SCENARIOS = {"carry": Carry, "outcomes": Outcomes, "request": Request, "credit": Credit, "unknown": Unknown, "three-ack": ThreeAck,
             "stalled": Stalled, "resend": Resend, "refused": Refused, "unknown-to": Found, "between": Between,
             "extended": Extended}

if __name__ == "__main__":
    scenario = SCENARIOS[sys.argv[1]](*sys.argv[2:])
    Container(scenario).run()
    print(json.dumps(scenario.result))
