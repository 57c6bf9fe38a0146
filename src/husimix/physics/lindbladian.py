"""The Lindbladian as a table of local terms: a Hamiltonian, jump operators and their rates.

dρ/dt = -i[H, ρ] + Σ_j γ_j (L_j ρ L_j† - ½{L_j†L_j, ρ})     (docs/theory.md, eq. 2), ħ = 1.

The table has three views that tests hold in agreement: the dense matrix (`Lindbladian.to_dense`), the QuTiP
objects (`Lindbladian.to_qutip`) and the sum of products (`husimix.physics.products`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from husimix._errors import argument_error, check_integer, check_number
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.lattice import Lattice
from husimix.physics.operators import Operator

if TYPE_CHECKING:
    import qutip

__all__ = ["Dissipator", "Lindbladian", "dense_operator", "dissipation_rate"]

_DENSE_LIMIT = 4096  # rows of the largest dense superoperator: 4096² complex numbers are 268 MB


@dataclass(frozen=True)
class Dissipator:
    """One decay channel γ (L ρ L† - ½{L†L, ρ}).

    Args:
        operator: the jump operator L; sums over several sites are allowed (collective decay).
        rate: γ >= 0, in units of 1/time. QuTiP's √γ L with rate 1 is the same channel.

    Raises:
        ValueError: if the rate is negative or not finite, or L is no operator.
    """

    operator: Operator
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.operator, Operator):
            raise argument_error(
                "operator",
                "be an operator",
                repr(self.operator),
                "Build it from hx.sigmam(i), hx.pauli(...).",
            )
        _check_finite("operator", self.operator)
        fix = "A rate is γ in γ(LρL† - ½{L†L, ρ}); put signs and phases into the operator."
        object.__setattr__(self, "rate", check_number("rate", self.rate, minimum=0, fix=fix))

    def __repr__(self) -> str:
        return f"{self.rate:g} D[{self.operator!r}]"


class Lindbladian:
    """The generator of an open system's motion, as a table of local terms.

    Args:
        hamiltonian: the Hermitian H; 0 for none.
        dissipators: the decay channels; a bare operator L counts as `Dissipator(L, 1)`.
        n_sites: N, the number of sites.
        lattice: where the sites lie; used for symmetry and drawing, and optional.
        label: how to name the model in results, such as the call that made it.

    Raises:
        ValueError: if H is not Hermitian, a site is out of range, a coefficient is not finite, local
            dimensions differ, or the lattice has another number of sites.
    """

    def __init__(
        self,
        hamiltonian: Operator | float,
        dissipators: Iterable[Dissipator | Operator] = (),
        n_sites: int | None = None,
        *,
        lattice: Lattice | None = None,
        label: str = "",
    ):
        if n_sites is None:
            if lattice is None:
                raise argument_error("n_sites", "be given when there is no lattice", None)
            n_sites = lattice.n_sites
        self.n_sites = check_integer("n_sites", n_sites, 1)
        if lattice is not None and lattice.n_sites != self.n_sites:
            raise argument_error("lattice", f"have n_sites = {self.n_sites} sites", lattice.n_sites)
        if isinstance(dissipators, str) or not isinstance(dissipators, Iterable):
            fix = "Put a single one into a list: [hx.Dissipator(L, rate)]; leave the argument out for none."
            raise argument_error("dissipators", "be a sequence of dissipators", repr(dissipators), fix)
        channels = [d if isinstance(d, Dissipator) else Dissipator(d) for d in dissipators]
        operators = [hamiltonian] if isinstance(hamiltonian, Operator) else []
        operators += [channel.operator for channel in channels]
        self.basis: SiteBasis = operators[0].basis if operators else site_basis(2)
        if not isinstance(hamiltonian, Operator):
            constant = check_number("hamiltonian", hamiltonian, fix="Build H from hx.sigmax(i), hx.pauli(...).")
            hamiltonian = Operator({(): constant}, self.basis)
        _check_finite("hamiltonian", hamiltonian)
        offending = hamiltonian.first_non_hermitian_term()
        if offending is not None:
            raise argument_error(
                "hamiltonian", "be Hermitian", f"the term {offending}", "Add the adjoint: H = A + A.dag()."
            )
        self.hamiltonian = hamiltonian.hermitian_part()
        self.dissipators = tuple(channels)
        self.lattice = lattice
        self.label = label
        for name, operator in [
            ("hamiltonian", hamiltonian),
            *(("dissipators", c.operator) for c in channels),
        ]:
            self._check_fits(name, operator)

    def _check_fits(self, name: str, operator: Operator) -> None:
        if operator.basis is not self.basis:
            raise argument_error(
                name, f"act on sites of dimension {self.basis.dimension} throughout", operator.basis.dimension
            )
        if operator.sites and operator.sites[-1] >= self.n_sites:
            raise argument_error(
                name,
                f"act on sites 0 to {self.n_sites - 1}",
                f"site {operator.sites[-1]}",
                "Sites count from 0; raise n_sites or correct the site.",
            )

    def hamiltonian_matrix(self) -> np.ndarray:
        """H as a dense (d^N, d^N) complex matrix, site 0 the slowest index as in QuTiP's `tensor`."""
        return dense_operator(self.hamiltonian, self.n_sites)

    def to_dense(self) -> np.ndarray:
        """The Lindbladian as a dense superoperator, for few sites.

        Returns:
            (d^2N, d^2N) complex matrix that acts on vec(ρ) with columns stacked, QuTiP's convention.

        Raises:
            ValueError: beyond 4096 rows (6 spins ½).
        """
        size = self.basis.dimension**self.n_sites
        if size**2 > _DENSE_LIMIT:
            raise argument_error(
                "n_sites",
                f"give at most {_DENSE_LIMIT} rows for a dense view",
                f"{size}² rows",
                "Use fewer sites.",
            )
        identity = np.eye(size)
        h = self.hamiltonian_matrix()
        dense = -1j * (np.kron(identity, h) - np.kron(h.T, identity))
        for channel in self.dissipators:
            jump = dense_operator(channel.operator, self.n_sites)
            decay = jump.conj().T @ jump
            dense += channel.rate * (
                np.kron(jump.conj(), jump) - 0.5 * np.kron(identity, decay) - 0.5 * np.kron(decay.T, identity)
            )
        return dense

    def to_qutip(self) -> "tuple[qutip.Qobj, list[qutip.Qobj]]":
        """H and the collapse operators √γ L as sparse QuTiP objects, ready for `qutip.mesolve`.

        Returns:
            (H, c_ops) with QuTiP's tensor structure, site 0 first.

        Raises:
            ImportError: if QuTiP is not installed (`pip install "husimix[exact]"`).
        """
        import qutip

        dims = [[self.basis.dimension] * self.n_sites] * 2

        def convert(operator: Operator) -> "qutip.Qobj":
            return qutip.Qobj(sparse_operator(operator, self.n_sites), dims=dims)

        jumps = [np.sqrt(c.rate) * convert(c.operator) for c in self.dissipators if c.rate > 0]
        return convert(self.hamiltonian), jumps

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON-ready data from which `from_dict` rebuilds the model exactly."""
        return {
            "label": self.label,
            "n_sites": self.n_sites,
            "dimension": self.basis.dimension,
            "hamiltonian": _operator_to_list(self.hamiltonian),
            "dissipators": [[c.rate, _operator_to_list(c.operator)] for c in self.dissipators],
            "lattice": None if self.lattice is None else self.lattice.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Lindbladian":
        """The model that `to_dict` described."""
        basis = site_basis(data["dimension"])
        lattice = None if data["lattice"] is None else Lattice.from_dict(data["lattice"])
        channels = [Dissipator(_operator_from_list(rows, basis), rate) for rate, rows in data["dissipators"]]
        hamiltonian = _operator_from_list(data["hamiltonian"], basis)
        return cls(hamiltonian, channels, data["n_sites"], lattice=lattice, label=data["label"])

    def __repr__(self) -> str:
        title = f"Lindbladian on {self.n_sites} sites" + (f": {self.label}" if self.label else "")
        lines = [title, f"  H = {self.hamiltonian!r}"]
        lines += [f"  + {channel!r}" for channel in self.dissipators[:4]]
        rest = len(self.dissipators) - 4
        return "\n".join(lines + ([f"  + ... ({rest} more dissipators)"] if rest > 0 else []))


def sparse_operator(operator: Operator, n_sites: int) -> scipy.sparse.csr_array:
    """Σ_s f_s ⊗ B_{a_i} as a sparse (d^N, d^N) complex matrix, site 0 the slowest index."""
    basis = operator.basis
    total = scipy.sparse.csr_array((basis.dimension**n_sites,) * 2, dtype=complex)
    for product, f in operator.terms.items():
        matrix = scipy.sparse.csr_array(np.array([[f]]))
        position = 0
        for site, a in product:
            gap = scipy.sparse.eye_array(basis.dimension ** (site - position))
            matrix = scipy.sparse.kron(scipy.sparse.kron(matrix, gap), basis.matrices[a], format="csr")
            position = site + 1
        tail = scipy.sparse.eye_array(basis.dimension ** (n_sites - position))
        total = total + scipy.sparse.kron(matrix, tail, format="csr")
    return scipy.sparse.csr_array(total)


def dense_operator(operator: Operator, n_sites: int) -> np.ndarray:
    """`sparse_operator` as a dense array."""
    return sparse_operator(operator, n_sites).toarray()


def dissipation_rate(model: Lindbladian) -> float:
    """The mean rate of the dissipators that do something; 0 if none does."""
    rates = [d.rate for d in model.dissipators if d.rate > 0 and any(d.operator.terms)]
    return float(np.mean(rates)) if rates else 0.0


def _check_finite(name: str, operator: Operator) -> None:
    for product, f in operator.terms.items():
        if not np.isfinite(f):
            raise argument_error(name, "have finite coefficients", f"{f} for the product {product}")


def _operator_to_list(operator: Operator) -> list[list[Any]]:
    return [[f.real, f.imag, [list(pair) for pair in product]] for product, f in operator.terms.items()]


def _operator_from_list(rows: Iterable[Iterable[Any]], basis: SiteBasis) -> Operator:
    terms = {tuple((i, a) for i, a in product): complex(re, im) for re, im, product in rows}
    return Operator(terms, basis)
