"""A release as a user writes it: an engine, and all that changes its answers.

Pure models; `config` completes paths, templates and secrets.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, ValidationInfo, model_validator

from canary.address import CREDENTIAL, BaseUrl
from canary.written import Written


def completed(kind: str) -> AfterValidator:
    """Completed by `config` when it reads a file, through the context; else kept as given."""

    def complete(value: Any, info: ValidationInfo) -> Any:
        return info.context[kind](value) if info.context else value

    return AfterValidator(complete)


ResponsesPath = Annotated[str, Field(min_length=1), completed("responses")]
Model = Annotated[str, Field(min_length=1), completed("model")]
FROM = "a folder, a model hub's id, or an address in MLflow like models:/NAME@ALIAS"
Revision = Annotated[
    Annotated[str, Field(min_length=1)] | None,
    Field(description="commit, tag or branch of a hub's model; pin a commit, or the answers may change"),
]
Template = Annotated[str, completed("template")]
Secret = Annotated[SecretStr, completed("secret")]


class Sampling(Written):
    """How tokens are drawn."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None


Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Price(Written):
    """US dollars per million tokens."""

    input_per_million: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    output_per_million: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    cached_input_per_million: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """The cost of one request in US dollars."""
        cached = self.input_per_million if self.cached_input_per_million is None else self.cached_input_per_million
        fresh = input_tokens - cached_tokens
        return (fresh * self.input_per_million + cached_tokens * cached + output_tokens * self.output_per_million) / 1e6


class HourlyPrice(Written):
    """US dollars for an hour of what a release runs on; its requests share it by the time they take."""

    per_gpu_hour: Dollars | None = Field(None, description="one GPU; the runner's gpus_per_arm says how many there are")
    per_replica_hour: Dollars | None = Field(None, description="all that one replica has, GPUs or not")

    @model_validator(mode="after")
    def _is_one(self) -> HourlyPrice:
        if (self.per_gpu_hour is None) is (self.per_replica_hour is None):
            raise ValueError("must have one of 'per_gpu_hour' and 'per_replica_hour'")
        return self

    def per_second(self, gpus: float) -> float:
        """US dollars for a second of one replica, which has so many GPUs."""
        gpu, replica = self.per_gpu_hour, self.per_replica_hour
        return (gpus * gpu if gpu is not None else replica or 0.0) / 3600


def _by_hour(price: Any) -> str:
    hourly = isinstance(price, HourlyPrice) or (isinstance(price, dict) and any("hour" in str(key) for key in price))
    return "hour" if hourly else "token"


class Turn(Written):
    """One chat turn of a prompt template."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Template


def _text_or_turns(prompt: Any) -> str | None:
    return "text" if isinstance(prompt, str) else "turns" if isinstance(prompt, list | tuple) else None


PromptTemplate = Annotated[
    Annotated[Template, Tag("text")] | Annotated[tuple[Turn, ...], Field(min_length=1), Tag("turns")],
    Discriminator(
        _text_or_turns,
        custom_error_type="text_or_turns",
        custom_error_message="must be text or a list of chat turns",
    ),
]


class ReplayRelease(Written):
    """A release known by its recorded outputs."""

    engine: Literal["replay"]
    name: str = Field(min_length=1)
    responses: ResponsesPath


class LiveRelease(Written):
    """What every release that answers for itself has."""

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    prompt: PromptTemplate = Field(
        "{{prompt}}", description="Jinja template over the case's vars, chat turns, or file://path"
    )
    sampling: Sampling = Sampling()
    price: (
        Annotated[
            Annotated[Price, Tag("token")] | Annotated[HourlyPrice, Tag("hour")],
            Discriminator(_by_hour),
        ]
        | None
    ) = Field(None, description="per million tokens, or by the hour of what the release runs on")
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0

    @property
    def token_price(self) -> Price | None:
        """The price of tokens; None where nothing or time is paid for."""
        return self.price if isinstance(self.price, Price) else None


class TransformersRelease(LiveRelease):
    """A checkpoint run in this process by Hugging Face transformers."""

    engine: Literal["transformers"]
    model: Model = Field(description=FROM)
    revision: Revision = None
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, ...")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    threads: Annotated[int, Field(ge=1, le=256)] | None = Field(None, description="CPU threads of the arm")


class OpenAIRelease(LiveRelease):
    """Any OpenAI-compatible HTTP endpoint."""

    engine: Literal["openai"]
    base_url: BaseUrl = "https://api.openai.com/v1"
    api: Literal["chat", "completions"] = "chat"
    api_key: Secret | None = Field(None, description="a secret: ${ENV} is expanded")
    headers: dict[str, Secret] = Field({}, description="secrets: ${ENV} is expanded")
    extra_body: dict[str, Any] = Field({}, description="passed through untouched")

    @model_validator(mode="after")
    def _is_paid_by_token(self) -> OpenAIRelease:
        if self.price != self.token_price:
            raise ValueError("'price' must be per token: what runs behind an endpoint is not known")
        return self


EngineArgument = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | tuple[str, ...]
ArgumentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$")]
OURS = {"host", "port", "model", "served-model-name", "api-key", "uds", "tensor-parallel-size", "revision"}
"""Arguments of the server that the engine or a field of the release decides."""


class VllmRelease(LiveRelease):
    """A checkpoint on a vLLM server that the run brings up and ends."""

    engine: Literal["vllm"]
    model: Model = Field(description=FROM)
    revision: Revision = None
    lora: Model | None = Field(None, description="LoRA adapter on top of the model: a folder, or an address in MLflow")
    tensor_parallel: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="GPUs that share one replica")
    engine_args: dict[ArgumentName, EngineArgument] = Field(
        {}, description="any argument of the server, like max_model_len: 4096 or enforce_eager: true"
    )
    env: dict[str, str] = Field({}, description="environment of the server, like VLLM_BATCH_INVARIANT: '1'")
    api: Literal["chat", "completions"] = "chat"
    extra_body: dict[str, Any] = Field({}, description="passed through untouched")
    python: str | None = Field(None, description="interpreter that has vLLM; null is this one")
    start_timeout_s: Annotated[float, Field(gt=0, le=7200)] = Field(600.0, description="until the server is healthy")

    @model_validator(mode="after")
    def _args_are_free(self) -> VllmRelease:
        for name in self.engine_args:
            if name.replace("_", "-") in OURS:
                raise ValueError(f"'engine_args' must leave {name!r} to the engine or to the release's own fields")
        for name in self.env:
            if CREDENTIAL.search(name):
                raise ValueError(f"'env' must hold no secret (got {name!r}): set it where the run is started")
        return self


Release = Annotated[
    ReplayRelease | TransformersRelease | OpenAIRelease | VllmRelease,
    Field(discriminator="engine"),
]


Judging = Annotated[TransformersRelease | OpenAIRelease | VllmRelease, Field(discriminator="engine")]
