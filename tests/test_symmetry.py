"""Groups of symmetry operations against group theory, and the check that a model obeys one against dense algebra."""

import itertools
from collections import Counter
from math import factorial

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import husimix as hx
from dense import local_map, operation_matrix
from husimix import (
    Dissipator,
    Lattice,
    Lindbladian,
    Operator,
    SymmetryGroup,
    models,
    operator_sum,
    pauli,
    sigmam,
    sigmax,
    sigmaz,
)
from husimix.physics.basis import site_basis, spin_matrices
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry.invariance import Invariance
from husimix.physics.symmetry.invariance import broken_term as broken_term_of
from husimix.physics.symmetry.transformation import Transformation


def broken_term(model, operation):
    """`broken_term` of a `Transformation` or a plain permutation."""
    return broken_term_of(model, operation if isinstance(operation, Transformation) else Transformation(operation))


def elements(group):
    return {tuple(p) for p in group.permutations.tolist()}


def map_table(group):
    size = group.maps.shape[-1]
    return np.concatenate([np.eye(size)[None], group.maps])


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
        for array in (group.permutations, group.sources, group.labels, group.generators):
            assert array.dtype == np.int32
        assert group.labels.shape == (order, n) and not group.labels.any()
        assert group.maps.shape == (0, 1, 1)

    def test_closed_under_composition(self, group, order):
        known = elements(group)
        assert all(tuple(p[i] for i in q) in known for p, q in itertools.product(known, repeat=2))

    def test_sources_are_the_inverses(self, group, order):
        for p, source in zip(group.permutations, group.sources, strict=True):
            assert p[source].tolist() == source[p].tolist() == list(range(group.n_sites))

    def test_generators_generate_the_group(self, group, order):
        assert group.generators.ndim == 1
        assert closure(group.permutations[group.generators], group.n_sites) == elements(group)


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
    assert SymmetryGroup.translations(Lattice.chain(3)).generators.shape == (0,)
    assert SymmetryGroup.identity(3).generators.shape == (0,)
    group = SymmetryGroup.generated([shift(6), reflection(6), shift(6), list(range(6)), [2, 3, 4, 5, 0, 1]])
    assert group.permutations[group.generators].tolist() == [shift(6), reflection(6)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SymmetryGroup.identity(0), "`n_sites` must be an integer of at least 1, but got 0"),
        (lambda: SymmetryGroup.identity(2.0), "`n_sites` must be an integer"),
        (
            lambda: SymmetryGroup.generated([[0, 0, 1]]),
            r"`generators` must be permutations of 0 ... 2.*\[0, 0, 1\]",
        ),
        (lambda: SymmetryGroup.generated([[0, 1, 2], [1, 2, 3]]), r"`generators` must .*\[1, 2, 3\]"),
        (lambda: SymmetryGroup.generated([[-1, 0, 1]]), r"`generators` must .*\[-1, 0, 1\]"),
        (lambda: SymmetryGroup.generated([[0.0, 1.0]]), "`generators` must be permutations of 0 ... 1"),
        (lambda: SymmetryGroup.generated([[True, False]]), "`generators` must be permutations"),
        (lambda: SymmetryGroup.generated(["swap"]), "`generators` must be permutations"),
        (lambda: SymmetryGroup.generated([]), "`generators` must hold at least one operation"),
        (
            lambda: SymmetryGroup.generated([Transformation(n_sites=2), Transformation(n_sites=3)]),
            "`generators` must be permutations of 0 ... 1",
        ),
        (
            lambda: SymmetryGroup.generated([Transformation(rotation="x", n_sites=2, dimension=d) for d in (2, 3)]),
            "`generators` must rotate sites of dimension 2, but got 3",
        ),
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


LETTER_MAPS = dict(
    zip("xyz", [local_map(scipy.linalg.expm(-1j * np.pi * m), site_basis(2)) for m in spin_matrices(2)], strict=True)
)
# Rotations by a third about 111 and a quarter about z: local maps that are no sign.
THIRD = local_map(scipy.linalg.expm(-2j * np.pi / 3 * spin_matrices(2).sum(axis=0) / np.sqrt(3)), site_basis(2))
QUARTER = local_map(scipy.linalg.expm(-0.5j * np.pi * spin_matrices(2)[2]), site_basis(2))
N = 3


def holds_densely(model, operation, tolerance=1e-9):
    """Whether the operation on R commutes with the dense generator."""
    generator = sum_of_products(model).to_dense()
    size = model.basis.size
    maps = np.tile(np.eye(size), (model.n_sites, 1, 1)) if operation.rotations is None else operation.rotations
    g = operation_matrix(operation.permutation, maps)
    return np.abs(g @ generator - generator @ g).max() <= tolerance * np.abs(generator).max()


@st.composite
def operations(draw):
    permutation = draw(st.permutations(range(N)))
    kind = draw(st.sampled_from(["none", "none", "global", "sites", "third", "quarter", "mixed"]))
    if kind == "none":
        return Transformation(permutation)
    if kind == "global":
        return Transformation(permutation, draw(st.sampled_from("xyz")))
    if kind == "sites":
        return Transformation(permutation, draw(st.text("1xyz", min_size=N, max_size=N)))
    table = {"third": [THIRD], "quarter": [QUARTER], "mixed": [np.eye(4), QUARTER, LETTER_MAPS["x"]]}[kind]
    return Transformation(permutation, np.array([draw(st.sampled_from(table)) for _ in range(N)]))


@st.composite
def small_operators(draw, with_constant=False):
    """A few terms with a few different coefficients."""
    values = st.sampled_from([1.0, -1.0, 0.5])
    words = []
    for _ in range(draw(st.integers(1, 3))):
        sites = draw(st.permutations(range(N)))[: draw(st.integers(1, 2))]
        letters = "".join(draw(st.sampled_from("xyz")) for _ in sites)
        words.append(draw(values) * pauli(letters, *sites))
    constant = draw(st.sampled_from([0.0, 0.5, 0.5j])) if with_constant else 0.0
    return operator_sum(words) + constant


@st.composite
def jumps(draw):
    choice = draw(st.integers(0, 3))
    i, j = draw(st.permutations(range(N)))[:2]
    if choice == 0:
        return sigmam(i)
    if choice == 1:
        return sigmam(i) + draw(st.sampled_from([1, -1, 1j])) * sigmam(j)
    if choice == 2:
        return draw(small_operators()) + 1j * draw(small_operators())
    return sigmam(i) + draw(st.sampled_from([0.5, 0.5j, -1.0]))


def orbit(operator, operation):
    """The images of an operator under all powers of an operation."""
    images, power = [operator], operator.transformed(operation)
    while Operator({p: f for p, f in (power - operator).terms.items() if abs(f) > 1e-12}, operator.basis).terms:
        images.append(power)
        power = power.transformed(operation)
    return images


@st.composite
def cases(draw):
    """(model, operation); in most cases the parts of the model are made symmetric first."""
    operation = draw(operations())
    hamiltonian = draw(small_operators())
    channels = [hx.Dissipator(draw(jumps()), draw(st.sampled_from([1.0, 0.3]))) for _ in range(draw(st.integers(0, 2)))]
    if draw(st.integers(0, 3)):
        hamiltonian = operator_sum(orbit(hamiltonian, operation))
    if draw(st.integers(0, 3)):
        channels = [hx.Dissipator(image, c.rate) for c in channels for image in orbit(c.operator, operation)]
    return Lindbladian(hamiltonian, channels, N), operation


def test_broken_term_is_the_commutator_with_the_dense_generator():
    seen = Counter()

    @settings(max_examples=300)
    @given(cases())
    def agrees(case):
        model, operation = case
        holds = bool(holds_densely(model, operation))
        assert (broken_term(model, operation) is None) == holds
        seen[holds, operation.rotations is None] += 1

    agrees()
    assert all(seen[kind] > 5 for kind in itertools.product([True, False], repeat=2)), seen


def test_the_tables_of_one_model_serve_many_operations():
    test = Invariance(ising_ring())
    assert [test.broken_term(Transformation(p)) for p in (shift(4), reflection(4))] == [None, None]
    assert test.broken_term(Transformation([1, 0, 2, 3])) is not None


class TestRotations:
    """`broken_term` with local rotations."""

    @pytest.mark.parametrize(
        ("model", "letters"),
        [
            (models.dissipative_xyz(Lattice.chain(3)), "z"),
            (models.dissipative_xyz(Lattice.chain(3), gamma=0), "xyz"),
            (models.dissipative_ising(Lattice.chain(3)), ""),
            (models.dissipative_ising(Lattice.chain(3), gamma=0), "x"),
            (models.dissipative_ising(Lattice.chain(3), g=0), "z"),
            (models.lossy_xx(Lattice.chain(3)), "z"),
            (models.lossy_xx(Lattice.chain(3), omega=0.3), ""),
            (models.boundary_driven_heisenberg(Lattice.chain(3)), "z"),
        ],
    )
    def test_pi_rotations_of_the_named_models(self, model, letters):
        turned = {a: Transformation(rotation=a, n_sites=3) for a in "xyz"}
        assert [a for a in "xyz" if broken_term(model, turned[a]) is None] == list(letters)
        assert [a for a in "xyz" if holds_densely(model, turned[a])] == list(letters)

    @pytest.mark.parametrize("mu", [1.0, 0.3])
    def test_a_driven_chain_is_reflected_with_a_rotation_that_exchanges_the_ladder(self, mu):
        model = models.boundary_driven_heisenberg(Lattice.chain(3), mu=mu)
        assert broken_term(model, reflection(3)) is not None
        for letter, expected in (("x", True), ("y", True), ("z", False)):
            t = Transformation(reflection(3), letter)
            assert (broken_term(model, t) is None) == holds_densely(model, t) == expected

    def test_a_continuous_rotation(self):
        turn = local_map(scipy.linalg.expm(-0.7j * spin_matrices(2)[2]), site_basis(2))
        t = Transformation(rotation=turn, n_sites=3)
        assert broken_term(models.lossy_xx(Lattice.chain(3)), t) is None
        assert broken_term(models.dissipative_xyz(Lattice.chain(3)), t) is not None

    def test_spin_one(self):
        spins = [[hx.Operator.local(s, i) for s in spin_matrices(3)] for i in range(2)]
        exchange = operator_sum([a * b for a, b in zip(*spins, strict=True)])
        model = Lindbladian(exchange + spins[0][2] * spins[0][2], [s[0] - 1j * s[1] for s in spins], 2)
        turned = {a: Transformation(rotation=a, n_sites=2, dimension=3) for a in "xyz"}
        assert [a for a in "xyz" if broken_term(model, turned[a]) is None] == ["z"]
        assert [a for a in "xyz" if holds_densely(model, turned[a])] == ["z"]
        assert broken_term(model, [1, 0]) is not None

    def test_an_operation_that_does_not_fit_is_refused(self):
        model = ising_ring(3)
        for operation, message in [
            (Transformation(n_sites=2), "act on 3 sites, but got 2"),
            (Transformation(n_sites=4), "act on 3 sites, but got 4"),
            (Transformation(rotation="x", n_sites=3, dimension=3), "rotate sites of dimension 2, but got 3"),
        ]:
            with pytest.raises(ValueError, match=f"`transformation` must {message}"):
                broken_term(model, operation)


class TestChannels:
    """Sets of channels that are equal without being equal one by one."""

    def test_channels_may_be_mixed_by_a_unitary(self):
        mixing = scipy.stats.unitary_group.rvs(3, random_state=1)
        plain = [sigmam(i) for i in range(3)]
        mixed = [operator_sum([u * jump for u, jump in zip(row, plain, strict=True)]) for row in mixing]
        model = Lindbladian(0, mixed, 3)
        assert np.allclose(model.to_dense(), Lindbladian(0, plain, 3).to_dense(), atol=1e-12)
        assert broken_term(model, shift(3)) is None
        assert broken_term(Lindbladian(0, mixed[:2], 3), shift(3)).startswith("1 D[")

    def test_multiples_of_the_identity_may_move_to_the_hamiltonian(self):
        jumps = [sigmam(0) + 0.5, sigmam(1)]
        plain = Lindbladian(0, jumps, 2)
        # D[σ⁻ + l] is D[σ⁻] with the Hamiltonian (γ l/2) σy; here that is taken back.
        balanced = Lindbladian(-0.25 * hx.sigmay(0), jumps, 2)
        assert np.allclose(balanced.to_dense(), Lindbladian(0, [sigmam(0), sigmam(1)], 2).to_dense(), atol=1e-14)
        assert broken_term(plain, [1, 0]) is not None
        assert broken_term(balanced, [1, 0]) is None

    def test_a_constant_does_not_count(self):
        model = Lindbladian(1e9 + sigmaz(0) + (1 + 1e-6) * sigmaz(1), [Dissipator(sigmam(0) * 0 + 3)], 2)
        assert broken_term(model, [1, 0]) is not None
        assert broken_term(Lindbladian(1e9 + sigmaz(0) + sigmaz(1), [], 2), [1, 0]) is None
        assert broken_term(Lindbladian(2.0, [], 2), [1, 0]) is None


def generated_maps(group):
    """All elements as (permutation, maps)."""
    return [(p, map_table(group)[row]) for p, row in zip(group.permutations, group.labels, strict=True)]


SITE_X = local_map(scipy.stats.unitary_group.rvs(2, random_state=5), site_basis(2))


def conjugated(matrix):
    """A rotation about an axis of no particular direction."""
    return SITE_X @ matrix @ SITE_X.T


def translation_with(letter, n):
    return Transformation(shift(n), letter)


WITH_MAPS = [
    pytest.param([Transformation(rotation="z", n_sites=3)], 2, 1, id="parity"),
    pytest.param([Transformation(rotation=a, n_sites=2) for a in "xz"], 4, 3, id="two rotations"),
    pytest.param([translation_with("x", 4)], 4, 1, id="even ring"),
    pytest.param([translation_with("x", 3)], 6, 1, id="odd ring"),
    pytest.param([Transformation(shift(4), "1x1x"), shift(4)], 16, 1, id="sublattice and shift"),
    pytest.param(
        [Transformation(reflection(5), "x"), Transformation(rotation="z", n_sites=5)], 4, 3, id="driven chain"
    ),
    pytest.param([Transformation(rotation=THIRD, n_sites=2)], 3, 2, id="third"),
    pytest.param([Transformation(rotation=a, n_sites=2) for a in (THIRD, QUARTER)], 24, 23, id="cube"),
    pytest.param(
        [Transformation(rotation=conjugated(a), n_sites=2) for a in (THIRD, QUARTER)], 24, 23, id="tilted cube"
    ),
    pytest.param([Transformation([1, 2, 0], np.array([THIRD, QUARTER, np.eye(4)]))], None, None, id="different maps"),
    pytest.param([Transformation(shift(3), "y", dimension=3)], 6, 1, id="spin 1"),
]


@pytest.mark.parametrize(("generators", "order", "n_maps"), WITH_MAPS)
class TestGroupsWithMaps:
    def test_order_and_identity(self, generators, order, n_maps):
        group = SymmetryGroup.generated(generators)
        assert group.labels.shape == group.permutations.shape == group.sources.shape
        assert not group.labels[0].any() and group.permutations[0].tolist() == list(range(group.n_sites))
        assert set(np.unique(group.labels)) - {0} == set(range(1, len(group.maps) + 1))
        if order is not None:
            assert (group.order, len(group.maps)) == (order, n_maps)
            assert repr(group) == f"SymmetryGroup(order {order}, {group.n_sites} sites, {n_maps} local maps)"

    def test_axioms(self, generators, order, n_maps):
        group = SymmetryGroup.generated(generators)
        table = [group.element(g) for g in range(group.order)]
        size = map_table(group).shape[-1]
        flat = np.array([np.concatenate([p, maps.ravel()]) for p, maps in generated_maps(group)])
        assert (np.abs(flat[:, None] - flat[None]).max(axis=2) < 1e-9).sum() == group.order

        def is_element(t):
            maps = np.tile(np.eye(size), (t.n_sites, 1, 1)) if t.rotations is None else t.rotations
            return np.abs(flat - np.concatenate([t.permutation, maps.ravel()])).max(axis=1).min() < 1e-11

        assert all(is_element(g @ h) for g, h in itertools.product(table, repeat=2))
        assert all(is_element(g.inverse()) for g in table)
        plain = [t if isinstance(t, Transformation) else Transformation(t) for t in generators]
        assert all(is_element(t) for t in plain)

    def test_generators_generate_the_group(self, generators, order, n_maps):
        group = SymmetryGroup.generated(generators)
        again = SymmetryGroup.generated([group.element(g) for g in group.generators])
        assert again.order == group.order and len(again.generators) == len(group.generators) <= len(generators)


def test_elements_act_as_the_composition_says():
    group = SymmetryGroup.generated([Transformation([1, 2, 0], np.array([THIRD, QUARTER, np.eye(4)]))])
    tensor = np.random.default_rng(0).normal(size=(4,) * 3)
    p, maps = generated_maps(group)[1]
    moved = operation_matrix(p, maps) @ tensor.ravel()
    expected = np.einsum("ax,by,cz,xyz->abc", *maps, tensor.transpose(*group.sources[1]))
    np.testing.assert_allclose(moved.reshape(4, 4, 4), expected, rtol=0, atol=1e-12)


def test_of_elements_takes_labels_and_maps():
    group = SymmetryGroup.of_elements([[0, 1], [1, 0]], [1], [[0, 0], [1, 1]], LETTER_MAPS["x"][None])
    assert group.labels.dtype == group.sources.dtype == group.generators.dtype == np.int32
    assert group.element(1).rotations.shape == (2, 4, 4) and group.element(0).rotations is None


def test_a_large_group_is_quick_and_a_runaway_is_refused():
    sites = np.arange(1000).reshape(10, 10, 10)
    steps = [np.roll(sites, 1, axis).ravel() for axis in range(3)]
    assert SymmetryGroup.generated([*steps, np.arange(1000)[::-1]]).order == 2000
    with pytest.raises(ValueError, match="`generators` must generate at most 100000 elements"):
        SymmetryGroup.generated([shift(12), [1, 0, *range(2, 12)]])
    turn = local_map(scipy.linalg.expm(-0.7j * spin_matrices(2)[2]), site_basis(2))
    with pytest.raises(ValueError, match=r"`generators` must generate at most 1000 local maps.*full turn"):
        SymmetryGroup.generated([Transformation(rotation=turn, n_sites=2)])


def test_public_name():
    assert hx.SymmetryGroup is SymmetryGroup
