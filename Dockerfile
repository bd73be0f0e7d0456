# The sidecar: `docker build -t guardrail:0.1.0 .` from a checkout or an unpacked source archive.
# Production pins the base by digest: `--build-arg PYTHON=python:3.12-slim@sha256:...`.
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements/build.txt requirements/service.txt requirements/
# Everything that is installed is hashed, and is a wheel: no code of a dependency runs while the image is built.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary=:all: -r requirements/build.txt \
 && python -m venv --without-pip /opt/guardrail \
 && /opt/build/bin/pip --python /opt/guardrail/bin/python install \
      --no-cache-dir --require-hashes --no-deps --only-binary=:all: -r requirements/service.txt
COPY pyproject.toml README.md LICENSE ./
COPY guardrail guardrail
COPY adapters adapters
COPY policies policies
COPY examples examples
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /dist \
 && /opt/build/bin/pip --python /opt/guardrail/bin/python install --no-cache-dir --no-index --no-deps /dist/*.whl \
 && ln -s /opt/guardrail/lib/python3*/site-packages/guardrail/_policies /opt/guardrail/policies

FROM ${PYTHON}
RUN groupadd --gid 10001 guardrail \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin guardrail \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/guardrail /run/guardrail
COPY --from=build /opt/guardrail /opt/guardrail
ENV PATH=/opt/guardrail/bin:$PATH \
    GUARDRAIL_CONFIG=/etc/guardrail/guardrail.toml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The trail and the socket; everything else may be read-only.
VOLUME ["/var/lib/guardrail", "/run/guardrail"]
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["guardrail", "serve", "--check"]
ENTRYPOINT ["guardrail", "serve"]
