"""What every store of models promises: one of them is in use, and everybody is told the same."""

from tests.contract.stores.conftest import Stores

ONE, OTHER = "one:3", "other:2"


def test_the_first_model_is_in_use_whatever_is_configured_afterwards(stores: Stores) -> None:
    assert [stores.models.in_use(model) for model in (ONE, OTHER, ONE)] == [ONE] * 3


def test_the_model_that_was_switched_to_is_in_use(stores: Stores) -> None:
    stores.models.in_use(ONE)
    for model in (OTHER, OTHER, ONE):
        stores.models.switch(model)
        assert stores.models.in_use(ONE) == model


def test_a_database_may_begin_with_a_switch(stores: Stores) -> None:
    stores.models.switch(OTHER)
    assert stores.models.in_use(ONE) == OTHER


def test_a_model_that_is_known_already_is_in_use_where_none_is(stores: Stores) -> None:
    stores.fill(ONE)
    assert [stores.models.in_use(model) for model in (ONE, OTHER)] == [ONE, ONE]


def test_a_model_that_is_being_filled_is_not_in_use_for_that(stores: Stores) -> None:
    stores.fill(ONE)
    assert [stores.models.in_use(model) for model in (OTHER, ONE)] == [OTHER, OTHER]
