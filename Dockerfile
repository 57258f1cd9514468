# The router as a container image: one static executable in an empty file system.
#
#   docker build -t skrouterd .
#
# It replaces the image of the C router: it starts without a command and reads its configuration
# from QDROUTERD_CONF. It runs under any user id, and needs no writable folder but /tmp.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN config/image-tree.sh /tree

FROM scratch
# The version of the image, which the router reports.
ARG VERSION=""
ENV VERSION=${VERSION}
COPY --from=build /tree/ /
# The folder for relative paths of log and dump files must be writable.
WORKDIR /tmp
# A number, for Kubernetes must see that it is not root.
USER 10000
# AMQP with TLS, AMQP, links between sites, links from edge sites, health and metrics.
EXPOSE 5671 5672 55671 45671 9090
# No entry point, so that commands such as `skup status` can run in its place.
CMD ["/usr/bin/skrouterd"]
