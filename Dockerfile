# A container that predicts and serves; no pipeline:
# docs/serving.md shows how to build and run it, also with a model of your own.

FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
COPY requirements-predict.lock /wheels/
RUN pip install --no-compile --require-hashes --requirement /wheels/requirements-predict.lock
COPY --from=build /wheels/*.whl /wheels/
RUN pip install --no-compile --no-deps /wheels/*.whl
RUN useradd --create-home strokewise
USER strokewise
WORKDIR /home/strokewise
EXPOSE 5001
CMD ["strokewise", "serve", "--host", "0.0.0.0"]
