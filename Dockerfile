# A container that predicts and serves; no pipeline:
#   docker build --tag strokewise . && docker run --rm --publish 127.0.0.1:5001:5001 strokewise
# With a model of your own: add `--volume $PWD/data/model:/model:ro` before the image, and after it
#   strokewise serve --host 0.0.0.0 --model /model

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
