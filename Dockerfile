# The router as a container image: one static executable in an empty file system.
#
#   docker build -t skrouterd .
#
# It takes the place of the image of the C router: it starts without a command, takes its configuration from QDROUTERD_CONF,
# and runs under any user id with nothing writable but /tmp.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN config/image-tree.sh /tree

FROM scratch
# What the router reports as the version of its image.
ARG VERSION=""
ENV VERSION=${VERSION}
COPY --from=build /tree/ /
# Relative paths of log and dump files have to be writable.
WORKDIR /tmp
# A number, so that Kubernetes can see that it is not root.
USER 10000
# AMQP with TLS, AMQP, links between sites, links from edge sites, health and metrics.
EXPOSE 5671 5672 55671 45671 9090
# No entry point: commands such as `skup status` are run in its place.
CMD ["/usr/bin/skrouterd"]
