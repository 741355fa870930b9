"""Shards of a batch on several processes; tests/stages/test_train.py trains on two."""

import pytest
import torch

from strokewise.training.distributed import DistributedContext


@pytest.mark.parametrize(("rank", "shard"), [(0, slice(0, 3)), (1, slice(3, 6)), (2, slice(6, 10))])
def test_shards_cover_a_batch_once(rank: int, shard: slice) -> None:
    assert DistributedContext(rank, 3, torch.device("cpu")).shard(10) == shard
