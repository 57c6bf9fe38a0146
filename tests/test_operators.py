"""The algebra of symbolic operators, against matrices built here with `numpy.kron`."""

import operator as op
import re
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import husimix as hx
from husimix import Operator, operator_sum, pauli, sigmam, sigmap, sigmax, sigmay, sigmaz
from husimix.physics.basis import site_basis
from husimix.physics.symmetry.transformation import Transformation

N = 3
X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.array([[1, 0], [0, -1]])
# |down><up| and |up><down| with up = (1, 0), written out so as not to inherit a convention.
LETTERS = {"x": X, "y": Y, "z": Z, "+": np.array([[0, 1], [0, 0]]), "-": np.array([[0, 0], [1, 0]])}


def kron(factors, n_sites=N, d=2):
    """⊗ of the matrices in {site: matrix}, identity elsewhere, site 0 slowest."""
    return reduce(np.kron, [factors.get(i, np.eye(d)) for i in range(n_sites)])


def rendered(operator, n_sites=N):
    """The matrix that a table of terms stands for; for spin ½ with the Pauli matrices written above."""
    d = operator.basis.dimension
    members = [np.eye(2), X, Y, Z] if d == 2 else operator.basis.matrices
    total = np.zeros((d**n_sites,) * 2, dtype=complex)
    for product, f in operator.terms.items():
        sites = [site for site, _ in product]
        assert sites == sorted(set(sites)) and all(0 < a < d**2 for _, a in product)
        total += f * kron({site: members[a] for site, a in product}, n_sites, d)
    return total


scalars = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2, allow_subnormal=False),
    st.complex_numbers(max_magnitude=2, allow_subnormal=False),
)


@st.composite
def words(draw):
    """(operator, matrix, bound on the size) of one product of Pauli letters."""
    sites = draw(st.permutations(range(N)))[: draw(st.integers(1, N))]
    letters = "".join(draw(st.sampled_from("xyz+-")) for _ in sites)
    return pauli(letters, *sites), kron({i: LETTERS[a] for i, a in zip(sites, letters, strict=True)}), 1.0


def combined(children):
    pair, identity = st.tuples(children, children), np.eye(2**N)

    def linear(f):
        return lambda ab: (f(ab[0][0], ab[1][0]), f(ab[0][1], ab[1][1]), ab[0][2] + ab[1][2])

    def product(f):
        return lambda ab: (f(ab[0][0], ab[1][0]), ab[0][1] @ ab[1][1], ab[0][2] * ab[1][2])

    with_scalar = st.tuples(children, scalars)
    divisors = st.complex_numbers(min_magnitude=0.5, max_magnitude=4)
    return st.one_of(
        pair.map(linear(op.add)),
        pair.map(linear(op.sub)),
        pair.map(linear(lambda a, b: sum([a, b]))),
        pair.map(product(op.mul)),
        pair.map(product(op.matmul)),
        with_scalar.map(lambda a: (a[1] * a[0][0], a[1] * a[0][1], 2 * a[0][2])),
        with_scalar.map(lambda a: (a[0][0] * a[1], a[1] * a[0][1], 2 * a[0][2])),
        with_scalar.map(lambda a: (a[1] + a[0][0], a[1] * identity + a[0][1], 3 + a[0][2])),
        with_scalar.map(lambda a: (a[0][0] + a[1], a[1] * identity + a[0][1], 3 + a[0][2])),
        with_scalar.map(lambda a: (a[1] - a[0][0], a[1] * identity - a[0][1], 3 + a[0][2])),
        with_scalar.map(lambda a: (a[0][0] - a[1], a[0][1] - a[1] * identity, 3 + a[0][2])),
        st.tuples(children, divisors).map(lambda a: (a[0][0] / a[1], a[0][1] / a[1], 2 * a[0][2])),
        children.map(lambda a: (-a[0], -a[1], a[2])),
        children.map(lambda a: (a[0].dag(), a[1].conj().T, a[2])),
    )


expressions = st.recursive(words(), combined, max_leaves=8)


@given(expressions)
def test_the_algebra_is_that_of_matrices(expression):
    operator, matrix, size = expression
    np.testing.assert_allclose(rendered(operator), matrix, rtol=0, atol=1e-12 * size)


@given(st.lists(words(), min_size=1, max_size=6))
def test_operator_sum_adds_all(summands):
    total = operator_sum(operator for operator, _, _ in summands)
    np.testing.assert_allclose(rendered(total), sum(matrix for _, matrix, _ in summands), atol=1e-14)


@given(expressions, st.permutations(range(N)))
def test_a_permutation_renames_site_i_to_p_i(expression, permutation):
    operator, matrix, size = expression
    inverse = np.argsort(permutation)
    axes = [*inverse, *(N + inverse)]
    expected = matrix.reshape((2,) * (2 * N)).transpose(axes).reshape(matrix.shape)
    moved = operator.transformed(Transformation(permutation))
    np.testing.assert_allclose(rendered(moved), expected, rtol=0, atol=1e-12 * size)


@given(expressions)
def test_hermitian_part_and_its_check(expression):
    operator, matrix, size = expression
    part = (matrix + matrix.conj().T) / 2
    np.testing.assert_allclose(rendered(operator.hermitian_part()), part, rtol=0, atol=1e-12 * size)
    assert (operator + operator.dag()).is_hermitian
    assert operator.hermitian_part().is_hermitian


def test_transformed_follows_the_letters():
    shift = Transformation([2, 0, 1])
    assert pauli("xyz", 0, 1, 2).transformed(shift) == pauli("xyz", 2, 0, 1)
    assert (sigmax(0) + 3).transformed(shift) == sigmax(2) + 3
    assert sigmam(0).transformed(Transformation([1, 0], "x")) == sigmap(1)
    # The letter belongs to the site that is reached.
    assert sigmax(0).transformed(Transformation([1, 0], "z1")) == sigmax(1)
    assert sigmax(0).transformed(Transformation([1, 0], "1z")) == -sigmax(1)


def test_an_operation_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="`transformation` must act on 4 sites, but got 3"):
        sigmax(3).transformed(Transformation(n_sites=3))
    with pytest.raises(ValueError, match=r"`transformation` must rotate sites of dimension 2, but got 3.*dimension=2"):
        sigmax(0).transformed(Transformation(rotation="x", n_sites=3, dimension=3))


def test_sigmam_takes_up_to_down():
    up, down = np.array([1, 0]), np.array([0, 1])
    lowering, raising = rendered(sigmam(0), 1), rendered(sigmap(0), 1)
    np.testing.assert_array_equal(lowering @ up, down)
    np.testing.assert_array_equal(lowering @ down, 0 * up)
    np.testing.assert_array_equal(raising @ down, up)
    np.testing.assert_array_equal(rendered(sigmaz(0), 1) @ up, up)


def test_one_site_operators():
    assert sigmap(2) == (sigmax(2) + 1j * sigmay(2)) / 2
    assert sigmam(2) == (sigmax(2) - 1j * sigmay(2)) / 2
    assert sigmap(1) == sigmam(1).dag()
    for letter, function in zip("xyz+-", (sigmax, sigmay, sigmaz, sigmap, sigmam), strict=True):
        assert function(1) == pauli(letter, 1)
        np.testing.assert_array_equal(rendered(function(1), 2), np.kron(np.eye(2), LETTERS[letter]))


def test_pauli_letters_belong_to_the_sites_in_their_order():
    expected = kron({2: LETTERS["x"], 0: LETTERS["+"], 1: LETTERS["y"]})
    np.testing.assert_array_equal(rendered(pauli("x+y", 2, 0, 1)), expected)
    assert pauli("x+y", 2, 0, 1) == sigmax(2) * sigmap(0) * sigmay(1)
    assert pauli("xz", 0, 3) == pauli("zx", 3, 0) != pauli("zx", 0, 3)


def test_products_on_one_site_follow_the_pauli_algebra():
    assert sigmax(0) * sigmay(0) == 1j * sigmaz(0) == -sigmay(0) @ sigmax(0)
    assert sigmam(0) * sigmam(0) == Operator({})
    assert sigmap(0) * sigmam(0) == 0.5 + 0.5 * sigmaz(0)
    assert sigmaz(0) * sigmaz(0) == Operator({(): 1})


@pytest.mark.parametrize("two", [2, 2.0, 2 + 0j, np.float64(2), np.float32(2), np.int64(2), np.complex128(2)])
def test_scalars_of_all_kinds_from_both_sides(two):
    x = sigmax(0)
    x_terms, one, double = {((0, 1),): 1 + 0j}, {((0, 1),): 1 + 0j, (): 2 + 0j}, {((0, 1),): 2 + 0j}
    assert (two * x).terms == (x * two).terms == double
    assert (two + x).terms == (x + two).terms == one
    assert (x - two).terms == {((0, 1),): 1 + 0j, (): -2 + 0j}
    assert (two - x).terms == {((0, 1),): -1 + 0j, (): 2 + 0j}
    assert (x / two).terms == {((0, 1),): 0.5 + 0j}
    assert x.terms == x_terms
    assert all(type(f) is complex for f in (two * x + two).terms.values())


def test_python_sum_and_operator_sum_agree():
    total = sum(sigmaz(i) for i in range(4))
    assert total == operator_sum(sigmaz(i) for i in range(4))
    assert total.terms == {((i, 3),): 1 + 0j for i in range(4)}


def test_a_number_stands_for_that_multiple_of_the_identity():
    np.testing.assert_array_equal(rendered(1 + sigmax(0), 2), np.eye(4) + np.kron(X, np.eye(2)))


@pytest.mark.parametrize("d", [3, 4])
def test_operators_of_higher_spin(d):
    rng = np.random.default_rng(d)
    a, b, c = rng.normal(size=(3, d, d)) + 1j * rng.normal(size=(3, d, d))
    first, second, third = Operator.local(a, 0), Operator.local(b, 1), Operator.local(c, 0)
    assert first.basis is site_basis(d)
    np.testing.assert_allclose(rendered(first, 2), np.kron(a, np.eye(d)), atol=1e-13)
    np.testing.assert_allclose(rendered(second, 2), np.kron(np.eye(d), b), atol=1e-13)
    both = (first * second - 2j * third) * (1 + first) / 3
    expected = (np.kron(a, b) - 2j * np.kron(c, np.eye(d))) @ (np.eye(d * d) + np.kron(a, np.eye(d))) / 3
    np.testing.assert_allclose(rendered(both, 2), expected, atol=1e-11)
    np.testing.assert_allclose(rendered(both.dag(), 2), expected.conj().T, atol=1e-11)
    assert (first + first.dag()).is_hermitian and not first.is_hermitian


def test_local_of_spin_half_is_the_pauli_operator():
    assert Operator.local([[0, 0], [1, 0]], 3) == sigmam(3)
    assert Operator.local(5 * np.eye(2), np.int64(1)) == Operator({(): 5})
    assert Operator.local(np.zeros((3, 3)), 0) == Operator({}, site_basis(3))


def test_exact_cancellation_removes_terms():
    h = 0.3 * pauli("xy", 0, 1) + 0.7 * sigmaz(2)
    assert (h - h).terms == {}
    assert (h - 0.7 * sigmaz(2)).terms == {((0, 1), (1, 2)): 0.3 + 0j}
    assert (0 * h).terms == {}
    x, y = 0.1 * sigmax(0), 0.7 * sigmay(0)
    assert (x * y + y * x).terms == {}
    assert (h - h).sites == () and (h - 0.3 * pauli("xy", 0, 1)).sites == (2,)


def test_what_rounding_leaves_of_a_cancellation_is_removed():
    # 0.1 + 0.2 - 0.3 = 5.6e-17 in floating point.
    assert (0.1 * sigmax(0) + 0.2 * sigmax(0) - 0.3 * sigmax(0)).terms == {}
    assert operator_sum([0.1 * sigmax(0), 0.2 * sigmax(0), -0.3 * sigmax(0), sigmay(1)]) == sigmay(1)
    a, b = 0.3 * sigmax(0) + 0.7 * sigmay(0), 0.7 * sigmax(0) - 0.3 * sigmay(0)
    assert ((a * b + b * a) * 0.1).terms == {}


def test_small_terms_beside_large_ones_are_kept():
    assert (1e-12 * sigmax(0) + 1e2 * sigmay(0)).terms == {((0, 1),): 1e-12, ((0, 2),): 1e2}


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_sums_and_products_do_not_hide_what_is_not_finite(bad):
    unbounded = bad * sigmax(0)
    # NumPy's own warning about inf * 0 is welcome, but nothing that a model could rely on.
    with np.errstate(invalid="ignore"):
        totals = [
            unbounded + sigmay(0),
            sigmay(0) + unbounded,
            operator_sum([sigmay(0), unbounded]),
            (1 + unbounded) * sigmay(1),
            sigmay(1) * (1 + unbounded),
        ]
    for total in totals:
        assert not np.isfinite(list(total.terms.values())).all()


def test_equality():
    assert sigmax(0) + sigmay(1) == sigmay(1) + sigmax(0)
    assert sigmax(0) != sigmax(1)
    assert sigmax(0) != 1.5 * sigmax(0)
    assert sigmax(0) != "x0"
    assert Operator({(): 1.0}) != Operator({(): 1.0}, site_basis(3))
    with pytest.raises(TypeError, match="unhashable"):
        hash(sigmax(0))


def test_sites_are_sorted_and_unique():
    assert (pauli("zz", 5, 2) + sigmax(2) + 1).sites == (2, 5)
    assert Operator({(): 1.0}).sites == ()


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (0.5 * pauli("zz", 0, 1) - 2 * sigmax(0) + 3, "0.5 z0 z1 - 2 x0 + 3"),
        (-sigmay(12), "-1 y12"),
        (sigmap(0), "0.5 x0 + (0+0.5j) y0"),
        (Operator({}), "0"),
        (sigmax(0) / 3, "0.333333 x0"),
        (operator_sum(sigmax(i) for i in range(8)), " + ".join(f"1 x{i}" for i in range(8))),
        (
            operator_sum(sigmax(i) for i in range(10)),
            " + ".join(f"1 x{i}" for i in range(8)) + " + ... (2 more terms)",
        ),
        (Operator.local(np.diag([1, 0, -1]), 0), "0.816497 z0"),
    ],
)
def test_repr_is_the_sum_of_products(operator, text):
    assert repr(operator) == text


def test_first_non_hermitian_term_is_named():
    assert (sigmax(0) + pauli("xy", 0, 1)).first_non_hermitian_term() is None
    assert (sigmax(0) + 2j * pauli("xy", 0, 1)).first_non_hermitian_term() == "(0+2j) x0 y1"
    # Rounding of 1e-12 of the largest coefficient does not count.
    assert (sigmax(0) + 1e-13j * sigmay(0)).is_hermitian
    assert not (sigmax(0) + 1e-11j * sigmay(0)).is_hermitian
    assert (1e4 * sigmax(0) + 1e-9j * sigmay(0)).is_hermitian
    assert not (1e-14j * sigmay(0)).is_hermitian


def rebuilt(operator):
    """The table of terms from the arrays of `products`."""
    terms, lengths = {}, []
    for sites, members, coefficients in operator.products():
        assert sites.shape == members.shape == (len(coefficients), sites.shape[1])
        assert sites.dtype.kind == members.dtype.kind == "i"
        lengths.append(sites.shape[1])
        for s, a, f in zip(sites.tolist(), members.tolist(), coefficients, strict=True):
            terms[tuple(zip(s, a, strict=True))] = f
    assert lengths == sorted(set(lengths))
    return terms


def test_products_are_the_terms_grouped_by_their_number_of_sites():
    operator = 2 * pauli("xyz", 0, 1, 2) + sigmap(1) - pauli("zz", 2, 0) + 1j * pauli("yx", 0, 1)
    assert rebuilt(operator) == operator.terms
    assert [len(coefficients) for _, _, coefficients in operator.products()] == [2, 2, 1]
    assert list(Operator({}).products()) == []


def test_products_hold_the_identity():
    operator = 3 + sigmax(0)
    assert rebuilt(operator) == operator.terms


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pauli("xa", 0, 1), "`letters` must hold only the letters x y z .*, but got 'a' in 'xa'"),
        (lambda: pauli("X", 0), "`letters` must hold only .* 'X' in 'X'"),
        (lambda: pauli(""), "`letters` must be a string of the letters"),
        (lambda: pauli(1, 0), "`letters` must be a string .*, but got 1"),
        (lambda: pauli("zz", 0), "`sites` must name 2 sites for 'zz', but got 1 of them"),
        (lambda: pauli("z", 0, 1), "`sites` must name 1 sites for 'z', but got 2 of them"),
        (lambda: pauli("zz", 1, 1), r"`sites` must be all different, but got \[1, 1\]. Multiply"),
        (lambda: sigmax(-1), "`sites` must be an integer of at least 0, but got -1"),
        (lambda: pauli("zz", 0, 1.0), "`sites` must be an integer .*, but got 1.0"),
        (lambda: sigmam("0"), "`sites` must be an integer .*, but got '0'"),
        (lambda: sigmaz(True), "`sites` must be an integer .*, but got True"),
        (lambda: operator_sum([]), "`operators` must hold at least one operator, but got none"),
        (lambda: Operator.local(np.ones((2, 3)), 0), r"`matrix` must be a square matrix .* shape \(2, 3\)"),
        (lambda: Operator.local(np.ones(4), 0), r"`matrix` must be a square matrix .* shape \(4,\)"),
        (lambda: Operator.local(np.ones((1, 1)), 0), "`matrix` must be a square matrix of size at least 2"),
        (lambda: Operator.local([[1, np.nan], [0, 1]], 0), "`matrix` must be finite"),
        (lambda: Operator.local([[1, 0], [0, np.inf]], 0), "`matrix` must be finite"),
        (lambda: Operator.local(np.eye(2), -1), "`site` must be an integer of at least 0, but got -1"),
        (lambda: Operator.local(np.eye(2), 0.0), "`site` must be an integer"),
        (lambda: sigmax(0) + Operator.local(np.eye(3), 1), "dimension 2 and 3 cannot be combined"),
        (lambda: Operator.local(np.eye(3), 1) * sigmax(0), "dimension 3 and 2 cannot be combined"),
        (lambda: operator_sum([sigmax(0), Operator.local(np.eye(4), 1)]), "dimension 2 and 4 cannot be"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("combine", [op.add, op.sub, op.mul, op.matmul, op.truediv])
@pytest.mark.parametrize("other", ["x", None, [1.0], np.ones(2)], ids=["text", "None", "list", "array"])
def test_only_operators_and_scalars_combine(combine, other):
    for pair in ((sigmax(0), other), (other, sigmax(0))):
        with pytest.raises(TypeError):
            combine(*pair)


def test_operators_divide_only_by_scalars():
    for pair in ((sigmax(0), sigmax(0)), (1.0, sigmax(0))):
        with pytest.raises(TypeError):
            op.truediv(*pair)


def test_public_names():
    for name in ("Operator", "operator_sum", "pauli", "sigmax", "sigmay", "sigmaz", "sigmap", "sigmam"):
        assert getattr(hx, name) is globals()[name]


def test_powers_are_products_and_the_zeroth_is_the_identity():
    operator = hx.sigmax(0) + 0.5 * hx.pauli("zy", 0, 1) - 2j * hx.sigmap(1)
    assert operator**0 == 0 * operator + 1.0
    product = operator
    for exponent in range(1, 6):
        difference = operator**exponent - product
        assert max(map(abs, difference.terms.values()), default=0.0) < 1e-12
        product = product * operator


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda op: op / 0, "Argument `divisor` must be another number than 0, but got 0"),
        (lambda op: op**-1, "Argument `exponent` must be an integer of at least 0, but got -1"),
        (lambda op: op**0.5, "Argument `exponent` must be an integer of at least 0"),
        (lambda op: hx.operator_sum([1, op]), "Argument `operators` must hold operators only, but got 1"),
        (lambda op: hx.operator_sum(None), "Argument `operators` must be a sequence of operators, but got None"),
        (lambda op: hx.Lindbladian(op, None, 2), "Argument `dissipators` must be a sequence of dissipators"),
        (lambda op: hx.Lindbladian(op, hx.Dissipator(op), 2), "Argument `dissipators` must be a sequence"),
        (lambda op: hx.Lindbladian(op, op, 2), "Argument `dissipators` must be a sequence of dissipators"),
    ],
)
def test_what_is_no_operator_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(hx.sigmax(0))
