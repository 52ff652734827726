"""Redis, the store of artifacts, and clocks; and what does not answer at all."""

from collections.abc import Iterator, Mapping, Sequence

from shared.doctor.checks import Found, NotLooked, check
from shared.domain.condition import Bucket, Clock, Redis

_MOST_SECONDS = 5.0
_OLDEST = (7, 0)
_FULL = 0.9
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
_SKEWED, _DENIED = "RequestTimeTooSkewed", "AccessDenied"
# The answer of a store that is well, and what other checks say.
_KNOWN = ("NoSuchKey", "NoSuchBucket", _SKEWED)


@check("server-away", "away", why="Nothing that needs it works; what is kept there was not looked at.")
def server_away(away: Mapping[str, tuple[str, str]]) -> Iterator[Found]:
    """`away`: what does not answer, with the reason and what to do."""
    for server, (reason, fix) in away.items():
        yield Found(f"{server} does not answer ({reason})", fix)


@check("clocks-apart", "clocks", why="Leases, links and tokens end too early or too late; logs cannot be put in order.")
def clocks_apart(clocks: Sequence[Clock]) -> Iterator[Found]:
    for clock in clocks:
        if abs(clock.ahead) - clock.within > _MOST_SECONDS:
            where = "ahead of" if clock.ahead > 0 else "behind"
            yield Found(
                f"the clock of {clock.name} is {abs(clock.ahead):.0f} s {where} this machine's",
                "synchronise both machines: timedatectl set-ntp true (chronyc tracking shows how far they are off)",
            )


@check("redis-too-old", "redis", why="Nothing older is tested here, and it gets no fixes.")
def redis_too_old(redis: Redis) -> Iterator[Found]:
    version = redis.info.get("valkey_version") or redis.info.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        yield Found(f"Redis is {version}", "run Redis 7 or newer, or Valkey; what it holds may be lost")


@check("redis-without-password", "redis", why="Whoever reaches its port reads and writes tokens and vectors.")
def redis_without_password(redis: Redis) -> Iterator[Found]:
    if not redis.password and not redis.local:
        yield Found(
            "Redis takes us without a password, over a network",
            "CONFIG SET requirepass with a new password (with the operator: redisSecret in the spec), and put it into "
            "FACTEUR_REDIS_URL like redis://:PASSWORD@host:6379/0",
        )


@check("redis-evicts", "redis", why="What is due later and the pace of the API are dropped without a word.")
def redis_evicts(redis: Redis) -> Iterator[Found]:
    policy = redis.info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys") and redis.info.get("maxmemory", "0") != "0":
        yield Found(
            f"maxmemory-policy is {policy}", "CONFIG SET maxmemory-policy volatile-lru; and the same in its file"
        )


@check("redis-full", "redis", why="Writes are refused, and the functions do without Redis: slower, and paid for twice.")
def redis_full(redis: Redis) -> Iterator[Found]:
    most, used = int(redis.info.get("maxmemory", "0")), int(redis.info.get("used_memory", "0"))
    if most and used >= most * _FULL and redis.info.get("maxmemory_policy") == "noeviction":
        yield Found(
            f"{used * 100 // most} % of its memory is used, and nothing is evicted",
            "CONFIG SET maxmemory to more (and the limit of its pod), or maxmemory-policy volatile-lru",
        )


@check("redis-forgets", "redis", why="With each restart of it vectors are made and paid for once more.")
def redis_forgets(redis: Redis) -> Iterator[Found]:
    if redis.info.get("aof_enabled") == "0" and redis.save == "":
        yield Found("Redis keeps nothing on disk", "CONFIG SET appendonly yes; and the same in its file, with a volume")


@check("redis-cannot-save", "redis", why="It refuses writes, or loses them at its next restart.")
def redis_cannot_save(redis: Redis) -> Iterator[Found]:
    failed = [name for name in ("rdb_last_bgsave_status", "aof_last_write_status") if redis.info.get(name) == "err"]
    if failed:
        yield Found(f"Redis says: {', '.join(failed)} is err", "look at its log and at the space left on its volume")


@check("redis-read-only", "redis", why="Nothing that the functions keep there is kept.")
def redis_read_only(redis: Redis) -> Iterator[Found]:
    if redis.info.get("role") == "slave":
        yield Found("FACTEUR_REDIS_URL leads to a replica", "let it name the primary")


@check("bucket-missing", "bucket", why="No container can leave a file, and runs that must leave one fail.")
def bucket_missing(bucket: Bucket) -> Iterator[Found]:
    if bucket.code == "NoSuchBucket":
        yield Found(f"there is no bucket {bucket.name}", f"mc mb ALIAS/{bucket.name}, or set MINIO_BUCKET")


@check("bucket-refuses", "bucket", why="No container can leave a file, and nobody can fetch one.")
def bucket_refuses(bucket: Bucket) -> Iterator[Found]:
    if bucket.code in _REFUSED:
        yield Found(
            f"the store does not take our key ({bucket.code})",
            "set MINIO_ACCESS_KEY and MINIO_SECRET_KEY to a key of the bucket "
            "(in a cluster in the Secret facteur-minio)",
        )
    elif bucket.code == _DENIED:
        raise NotLooked("the store says AccessDenied, which it may say of any object that is not there", wanted=False)
    elif bucket.code not in _KNOWN:
        said = " ".join(filter(None, (str(bucket.status), bucket.code)))
        raise NotLooked(f"the artifact store answers {said}, which is not what an S3 store answers")


@check("links-out-of-time", "bucket", why="Links are refused as they are made: they bear the time of this machine.")
def links_out_of_time(bucket: Bucket) -> Iterator[Found]:
    if bucket.code == _SKEWED:
        yield Found(
            "the store says that our time is too far from its own",
            "synchronise both machines: timedatectl set-ntp true",
        )
