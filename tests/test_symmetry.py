"""Groups of site permutations against group theory, and the check that a model obeys a permutation."""

import itertools
from math import factorial

import numpy as np
import pytest

import husimix as hx
from husimix import (
    Dissipator,
    Lattice,
    Lindbladian,
    SymmetryGroup,
    models,
    operator_sum,
    pauli,
    sigmam,
    sigmax,
    sigmaz,
)
from husimix.physics.symmetry import broken_term


def elements(group):
    return {tuple(p) for p in group.permutations.tolist()}


def closure(generators, n_sites):
    """All products of the generators."""
    found, new = set(), {tuple(range(n_sites))}
    while new:
        found |= new
        new = {tuple(int(g[i]) for i in p) for p in new for g in generators} - found
    return found


def shift(n):
    return [(i + 1) % n for i in range(n)]


def reflection(n):
    return list(range(n))[::-1]


def ring(n):
    return Lattice.chain(n, periodic=True)


def torus(*lengths, periodic=True):
    return SymmetryGroup.translations(Lattice.rectangle(*lengths, periodic=periodic))


GROUPS = [
    pytest.param(SymmetryGroup.identity(5), 1, id="identity"),
    pytest.param(SymmetryGroup.identity(1), 1, id="one site"),
    pytest.param(SymmetryGroup.translations(ring(5)), 5, id="ring"),
    pytest.param(SymmetryGroup.translations(ring(2)), 2, id="ring of two"),
    pytest.param(torus(3, 4), 12, id="torus"),
    pytest.param(torus(3, 4, periodic=(True, False)), 3, id="cylinder"),
    pytest.param(torus(3, 4, periodic=(False, True)), 4, id="cylinder 2"),
    pytest.param(torus(3, 1), 3, id="flat torus"),
    pytest.param(SymmetryGroup.translations(Lattice.kagome(2, 3, periodic=True)), 6, id="kagome"),
    pytest.param(SymmetryGroup.translations(Lattice.cubic(2, 3, 2, periodic=True)), 12, id="cubic"),
    pytest.param(SymmetryGroup.translations(Lattice.square(3)), 1, id="open square"),
    pytest.param(SymmetryGroup.translations(Lattice.from_graph(ring(4).to_graph())), 1, id="graph"),
    pytest.param(SymmetryGroup.generated([[1, 0, 2], [1, 2, 0]]), factorial(3), id="S_3"),
    pytest.param(SymmetryGroup.generated([[1, 0, 2, 3], [1, 2, 3, 0]]), factorial(4), id="S_4"),
    pytest.param(SymmetryGroup.generated([shift(6), reflection(6)]), 12, id="dihedral"),
    pytest.param(SymmetryGroup.generated([shift(7)]), 7, id="cyclic"),
    pytest.param(SymmetryGroup.generated(np.array([1, 0, 2])), 2, id="one generator"),
    pytest.param(SymmetryGroup.generated([[0, 1, 2]]), 1, id="trivial"),
    pytest.param(SymmetryGroup.generated([[1, 0, 2, 3, 4], [0, 1, 3, 4, 2]]), 6, id="S_2 x Z_3"),
]


@pytest.mark.parametrize(("group", "order"), GROUPS)
class TestEveryGroup:
    def test_order(self, group, order):
        assert group.order == len(group.permutations) == len(elements(group)) == order
        assert repr(group) == f"SymmetryGroup(order {order}, {group.n_sites} sites)"

    def test_elements_are_permutations_with_the_identity_first(self, group, order):
        n = group.n_sites
        assert group.permutations.shape == group.sources.shape == (order, n)
        assert group.permutations[0].tolist() == list(range(n))
        assert all(sorted(p) == list(range(n)) for p in elements(group))
        for array in (group.permutations, group.sources, group.generators):
            assert array.dtype.kind == "i"

    def test_closed_under_composition(self, group, order):
        known = elements(group)
        assert all(tuple(p[i] for i in q) in known for p, q in itertools.product(known, repeat=2))

    def test_sources_are_the_inverses(self, group, order):
        for p, source in zip(group.permutations, group.sources, strict=True):
            assert p[source].tolist() == source[p].tolist() == list(range(group.n_sites))

    def test_generators_generate_the_group(self, group, order):
        assert group.generators.shape[1] == group.n_sites
        assert closure(group.generators, group.n_sites) == elements(group)


def test_translations_of_a_ring_are_its_shifts():
    expected = {tuple((i + s) % 5 for i in range(5)) for s in range(5)}
    assert elements(SymmetryGroup.translations(ring(5))) == expected


def test_translations_of_a_torus_and_a_cylinder():
    def moved(sx, sy):
        return tuple(4 * ((x + sx) % 3) + (y + sy) % 4 for x in range(3) for y in range(4))

    assert elements(torus(3, 4)) == {moved(sx, sy) for sx in range(3) for sy in range(4)}
    assert elements(torus(3, 4, periodic=(True, False))) == {moved(sx, 0) for sx in range(3)}


def test_translations_of_a_kagome_lattice_move_cells_and_keep_bonds():
    lattice = Lattice.kagome(3, 2, periodic=True)
    group = SymmetryGroup.translations(lattice)
    assert group.n_sites == 18 and len(group.generators) == 2

    def moved(sx, sy):
        return tuple(b + 3 * ((y + sy) % 2 + 2 * ((x + sx) % 3)) for x in range(3) for y in range(2) for b in range(3))

    assert elements(group) == {moved(sx, sy) for sx in range(3) for sy in range(2)}
    bonds = {frozenset(bond) for bond in lattice.bonds().tolist()}
    for p in group.permutations:
        assert {frozenset(p[list(bond)].tolist()) for bond in bonds} == bonds


def test_generators_are_few():
    slab = Lattice.cubic(2, 3, 2, periodic=(True, False, True))
    assert len(SymmetryGroup.translations(slab).generators) == 2
    assert SymmetryGroup.translations(Lattice.chain(3)).generators.shape == (0, 3)
    assert SymmetryGroup.identity(3).generators.shape == (0, 3)
    group = SymmetryGroup.generated([shift(6), reflection(6)])
    assert group.generators.tolist() == [shift(6), reflection(6)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SymmetryGroup.identity(0), "`n_sites` must be an integer of at least 1, but got 0"),
        (lambda: SymmetryGroup.identity(2.0), "`n_sites` must be an integer"),
        (
            lambda: SymmetryGroup.generated([[0, 0, 1]]),
            r"`generators` must be permutations of 0 ... 2.*\[0 0 1\]",
        ),
        (lambda: SymmetryGroup.generated([[0, 1, 2], [1, 2, 3]]), r"`generators` must .*\[1 2 3\]"),
        (lambda: SymmetryGroup.generated([[-1, 0, 1]]), r"`generators` must .*\[-1  ?0  ?1\]"),
        (lambda: SymmetryGroup.generated([[0.0, 1.0]]), "`generators` must be permutations of 0 ... 1"),
        (lambda: SymmetryGroup.generated([[True, False]]), "`generators` must be permutations"),
        (lambda: SymmetryGroup.generated(["swap"]), "`generators` must be permutations"),
    ],
)
def test_bad_groups_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_generators_of_different_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match="`generators` must be permutations"):
        SymmetryGroup.generated([[0, 1, 2], [1, 0]])


def ising_ring(n=4, bonds=None, fields=None, rates=None, jumps=None):
    """A ring with one coupling, field and rate for each site, all equal unless given."""
    bonds = [0.5] * n if bonds is None else bonds
    fields = [0.7] * n if fields is None else fields
    rates = [1.0] * n if rates is None else rates
    jumps = [sigmam(i) for i in range(n)] if jumps is None else jumps
    zz = [bond * pauli("zz", i, (i + 1) % n) for i, bond in enumerate(bonds)]
    h = operator_sum([*zz, *(field * sigmax(i) for i, field in enumerate(fields))])
    return Lindbladian(h, [Dissipator(jump, rate) for jump, rate in zip(jumps, rates, strict=True)], n)


class TestBrokenTerm:
    def test_none_for_symmetric_models(self):
        model = ising_ring()
        for p in SymmetryGroup.generated([shift(4), reflection(4)]).permutations:
            assert broken_term(model, p) is None
        lattice = Lattice.square(3, periodic=True)
        for build in (models.dissipative_ising, models.dissipative_xyz, models.lossy_xx):
            for p in SymmetryGroup.translations(lattice).permutations:
                assert broken_term(build(lattice), p) is None

    def test_only_dihedral_permutations_keep_a_ring_of_four(self):
        kept = [p for p in itertools.permutations(range(4)) if broken_term(ising_ring(), np.array(p)) is None]
        assert set(kept) == elements(SymmetryGroup.generated([shift(4), reflection(4)]))

    def test_an_open_chain_has_its_reflection_alone(self):
        model = models.dissipative_ising(Lattice.chain(4))
        assert broken_term(model, reflection(4)) is None
        assert broken_term(model, shift(4)) in {"0.5 z0 z1", "0.5 z0 z3"}

    def test_a_changed_bond(self):
        model = ising_ring(bonds=[0.5, 0.5, 0.6, 0.5])
        assert broken_term(model, shift(4)) in {"0.6 z2 z3", "0.5 z0 z3"}
        assert broken_term(ising_ring(bonds=[0.5, 0.5, 0.0, 0.5]), shift(4)) in {"0.5 z2 z3", "0.5 z0 z3"}
        assert broken_term(ising_ring(bonds=[0.5, 0.5, 0.5 + 1e-9, 0.5]), shift(4)) is not None

    def test_a_changed_field(self):
        assert broken_term(ising_ring(fields=[0.7, 0.8, 0.7, 0.7]), shift(4)) in {"0.8 x1", "0.7 x2"}
        assert broken_term(ising_ring(fields=[0.7, 0.8, 0.7, 0.7]), [2, 1, 0, 3]) is None

    def test_a_changed_letter(self):
        model = Lindbladian(sigmax(0) + sigmaz(1), [], 2)
        assert broken_term(model, [1, 0]) in {"1 x0", "1 z1", "1 x1", "1 z0"}

    def test_a_changed_rate(self):
        model = ising_ring(rates=[1.0, 1.0, 1.1, 1.0])
        assert broken_term(model, shift(4)) is not None
        assert "D[" in broken_term(model, shift(4))
        assert broken_term(ising_ring(rates=[1.0, 0.0, 1.0, 1.0]), shift(4)) is not None
        assert broken_term(ising_ring(rates=[1.0, 1.0 + 1e-6, 1.0, 1.0]), shift(4)) is not None

    @pytest.mark.parametrize("unit", [1e-24, 1e-12, 1.0, 1e12, 1e24])
    def test_units_of_rates_do_not_matter(self, unit):
        jumps = [np.exp(1j * i) * (sigmam(i) + 0.3) for i in range(4)]
        assert broken_term(ising_ring(rates=[0.7 * unit] * 4, jumps=jumps), shift(4)) is None
        assert broken_term(ising_ring(rates=[unit, unit, 1.1 * unit, unit]), shift(4)) is not None

    def test_a_doubled_channel(self):
        jumps = [sigmam(0), sigmam(1), sigmam(1), sigmam(2)]
        model = Lindbladian(0, jumps, 3)
        assert broken_term(model, shift(3)).startswith(("1 D[0.5 x1", "1 D[0.5 x2"))
        assert broken_term(Lindbladian(0, 2 * [sigmam(0), sigmam(1), sigmam(2)], 3), shift(3)) is None

    def test_a_changed_jump(self):
        model = ising_ring(jumps=[sigmam(0), sigmam(1), sigmaz(2), sigmam(3)])
        assert broken_term(model, shift(4)) is not None

    def test_equal_channels_may_be_written_with_a_phase_or_another_rate(self):
        phases = np.exp(2j * np.pi * np.array([0.0, 0.13, 0.51, 0.82]))
        assert broken_term(ising_ring(jumps=[p * sigmam(i) for i, p in enumerate(phases)]), shift(4)) is None
        factors = np.arange(1, 5)
        scaled = ising_ring(jumps=[f * sigmam(i) for i, f in enumerate(factors)], rates=1 / factors**2)
        assert broken_term(scaled, shift(4)) is None

    def test_collective_channels_keep_their_relative_phases(self):
        even = Lindbladian(0, [sigmam(0) + sigmam(1)], 2)
        odd = Lindbladian(0, [sigmam(0) - sigmam(1)], 2)
        chiral = Lindbladian(0, [sigmam(0) + 1j * sigmam(1)], 2)
        assert broken_term(even, [1, 0]) is None
        assert broken_term(odd, [1, 0]) is None
        assert broken_term(chiral, [1, 0]) is not None
        momentum = np.exp(2j * np.pi * np.arange(5) / 5)
        wave = Lindbladian(0, [operator_sum(f * sigmam(i) for i, f in enumerate(momentum))], 5)
        assert broken_term(wave, shift(5)) is None
        assert broken_term(wave, reflection(5)) is not None

    def test_channels_without_a_rate_do_not_count(self):
        model = Lindbladian(0, [Dissipator(sigmam(0), 0.0), Dissipator(sigmaz(1), 0.0)], 2)
        assert broken_term(model, [1, 0]) is None

    def test_it_agrees_with_the_dense_lindbladian(self):
        rng = np.random.default_rng(3)
        outcomes = []
        for _ in range(8):
            bonds, fields, rates = (rng.choice([0.4, 0.9], size=3) for _ in range(3))
            model = ising_ring(3, bonds, fields, rates)
            # Four indices of three sites each: row and column of ρ before and after.
            dense = model.to_dense().reshape((2,) * 12)
            for p in itertools.permutations(range(3)):
                source = np.argsort(p)
                moved = dense.transpose([3 * block + i for block in range(4) for i in source])
                same = np.allclose(moved, dense, atol=1e-12)
                assert (broken_term(model, np.array(p)) is None) == same
                outcomes.append(same)
        assert 8 < sum(outcomes) < len(outcomes)


def test_public_name():
    assert hx.SymmetryGroup is SymmetryGroup
