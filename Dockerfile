# Built from the sources alone, run from nothing but the binary and the
# certificates that https feeds need.
FROM golang:1.26 AS build
ARG VERSION=devel
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /weir ./cmd/weir \
 && mkdir -p /state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /weir /weir
COPY --from=build --chown=65532:65532 /state /var/lib/weir
# A number, so that Kubernetes' runAsNonRoot can tell that it is not root. Port
# 5353 needs no capability: map 53 to it.
USER 65532:65532
ENV STATE_DIRECTORY=/var/lib/weir
VOLUME /var/lib/weir
EXPOSE 5353/udp 5353/tcp
HEALTHCHECK --interval=10s --timeout=4s --start-period=2s CMD ["/weir", "healthcheck"]
ENTRYPOINT ["/weir"]
CMD ["serve", "--listen", "0.0.0.0:5353"]
