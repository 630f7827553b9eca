"""What is remembered of keys: by their graph, whatever their name, time and signature."""

from facemin.keys.key import Key, renew_key
from facemin.protection.revealing.by_digest import by_graph, key_runner
from facemin.protection.revealing.feature_inversion import locality
from tests.foreign_keys import average_key


def test_a_renewed_key_is_the_graph_that_it_was() -> None:
    first = average_key(8)
    renewed = Key.load(renew_key(first, key_id="renewed").data)
    assert first.fingerprint != renewed.fingerprint
    assert key_runner(first) is key_runner(renewed)
    asked = locality.cache_info().misses
    assert locality(by_graph(first)) == locality(by_graph(renewed))
    assert locality.cache_info().misses <= asked + 1


def test_another_graph_is_another() -> None:
    assert by_graph(average_key(8)) != by_graph(average_key(4))
    assert key_runner(average_key(8)) is not key_runner(average_key(4))
