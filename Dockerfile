# Two stages: what builds stays behind, and dependencies change more seldom than our own code.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/classmood
ENV PATH=/opt/classmood/bin:$PATH
WORKDIR /src
COPY requirements.lock ./
# every package in the version and with the bytes that `make lock` saw, or none
RUN pip install --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml README.md ./
COPY bot bot
COPY pipeline pipeline
COPY model model
COPY dashboard dashboard
# what builds and installs has no place in the image: nobody who gets in finds it there
RUN pip install --no-deps --no-build-isolation --no-index . && pip uninstall --yes setuptools pip

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home classmood
COPY --from=build /opt/classmood /opt/classmood
ENV PATH=/opt/classmood/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CLASSMOOD_HOST=0.0.0.0
USER classmood
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["classmood", "health"]
ENTRYPOINT ["classmood"]
CMD ["join", "local://class"]
