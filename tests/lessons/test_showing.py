from __future__ import annotations

import torch

from impasto.lessons.showing import deal, moved


def test_every_epoch_deals_all_faces_in_another_order() -> None:
    dice = torch.Generator()
    epochs = [[deal(12, 4, 3 * epoch + place, 5, dice) for place in range(3)] for epoch in range(2)]
    orders = [torch.cat(epoch).tolist() for epoch in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(12))
    assert orders[0] != orders[1]


def test_the_rest_of_an_epoch_is_left_out() -> None:
    dice = torch.Generator()
    shown = torch.cat([deal(11, 4, step, 0, dice) for step in range(2)])
    assert len(set(shown.tolist())) == 8
    assert len(deal(11, 4, 2, 0, dice)) == 4, "the next epoch has begun"


def test_a_step_does_not_depend_on_those_before() -> None:
    one, two = torch.Generator(), torch.Generator()
    for step in range(4):
        deal(12, 4, step, 5, one)
        torch.rand(step, generator=one)
    assert torch.equal(deal(12, 4, 4, 5, one), deal(12, 4, 4, 5, two))
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=two))


def test_faces_are_moved_and_their_border_is_repeated() -> None:
    faces = torch.rand(20, 3, 8, 8)
    found = set()
    for face, shown in zip(faces, moved(faces, 1, torch.Generator().manual_seed(0)), strict=True):
        places = torch.arange(8)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                rows, columns = (places + down).clamp(0, 7), (places + right).clamp(0, 7)
                if torch.equal(face[:, rows][:, :, columns], shown):
                    found.add((down, right))
    assert len(found) > 5
