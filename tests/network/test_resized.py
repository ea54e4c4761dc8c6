"""A network at another size of input, with the same weights."""

import pytest
import torch
from torch import nn

import archlab
from archlab.core.errors import InputError
from archlab.network.resized import at_size


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return archlab.build(archlab.load("lite_hrnet_18_seg", input=(3, 64, 96)))


def test_it_computes_what_the_network_built_at_that_size_with_these_weights_does(network: nn.Module):
    other = archlab.build(archlab.load("lite_hrnet_18_seg", input=(3, 96, 64)))
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 96, 64)
    found = at_size(network.eval(), (96, 64))
    assert torch.equal(found(image), other.eval()(image))
    assert found(image).shape == (1, 19, 24, 16)
    with pytest.raises(RuntimeError):
        network(image)  # resizing to fixed sizes makes it one of its own size


def test_it_shares_weights_statistics_and_mode(network: nn.Module):
    found = at_size(network.train(), (96, 64))
    assert found.training
    assert not at_size(network.eval(), (96, 64)).training
    assert {id(p) for p in found.parameters()} == {id(p) for p in network.parameters()}
    found.train()(torch.randn(2, 3, 96, 64))
    assert all(torch.equal(a, b) for a, b in zip(found.buffers(), network.buffers(), strict=True))


def test_its_own_size_and_a_users_module_are_returned_as_they_are(network: nn.Module):
    assert at_size(network, (64, 96)) is network
    plain = nn.Conv2d(3, 2, 1)
    assert at_size(plain, (7, 9)) is plain


def test_a_size_that_does_not_fit_is_refused(network: nn.Module):
    with pytest.raises(InputError):
        at_size(network, (50, 64))


def test_it_draws_no_random_number(network: nn.Module):
    state = torch.get_rng_state()
    at_size(network, (96, 64))
    assert torch.equal(torch.get_rng_state(), state)
