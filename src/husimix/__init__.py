"""husimix: open quantum spin lattices far beyond exact diagonalisation, without sampling.

Lindblad dynamics of interacting spins by the Dirac-Frenkel principle, with two ansätze: the signed mixtures of product
states in phase space of arXiv:2604.01165, and correlated clusters. Importing husimix switches JAX to float64.
"""

import jax

jax.config.update("jax_enable_x64", True)

from husimix._compilation import keep_compiled  # noqa: E402

keep_compiled()
del keep_compiled

from husimix._errors import HusimixWarning as HusimixWarning  # noqa: E402
from husimix._version import __version__ as __version__  # noqa: E402
from husimix.ansatz import Estimate as Estimate  # noqa: E402
from husimix.apps import exact as exact  # noqa: E402
from husimix.apps.citation import cite as cite  # noqa: E402
from husimix.clusters.ansatz import Clusters as Clusters  # noqa: E402
from husimix.mixture.ansatz import Mixture as Mixture  # noqa: E402
from husimix.mixture.manifolds import Bloch as Bloch  # noqa: E402
from husimix.mixture.manifolds import Coherent as Coherent  # noqa: E402
from husimix.mixture.metric_solvers import SpectralCutoff as SpectralCutoff  # noqa: E402
from husimix.mixture.metric_solvers import Tikhonov as Tikhonov  # noqa: E402
from husimix.mixture.state import product_state as product_state  # noqa: E402
from husimix.physics import correlations as correlations  # noqa: E402
from husimix.physics import models as models  # noqa: E402
from husimix.physics.lattice import Lattice as Lattice  # noqa: E402
from husimix.physics.lindbladian import Dissipator as Dissipator  # noqa: E402
from husimix.physics.lindbladian import Lindbladian as Lindbladian  # noqa: E402
from husimix.physics.operators import Operator as Operator  # noqa: E402
from husimix.physics.operators import operator_sum as operator_sum  # noqa: E402
from husimix.physics.operators import pauli as pauli  # noqa: E402
from husimix.physics.operators import sigmam as sigmam  # noqa: E402
from husimix.physics.operators import sigmap as sigmap  # noqa: E402
from husimix.physics.operators import sigmax as sigmax  # noqa: E402
from husimix.physics.operators import sigmay as sigmay  # noqa: E402
from husimix.physics.operators import sigmaz as sigmaz  # noqa: E402
from husimix.physics.symmetry.group import SymmetryGroup as SymmetryGroup  # noqa: E402
from husimix.physics.symmetry.transformation import Transformation as Transformation  # noqa: E402
from husimix.results.branch import Branch as Branch  # noqa: E402
from husimix.results.result import Result as Result  # noqa: E402
from husimix.results.scan import Scan as Scan  # noqa: E402
from husimix.results.status import Status as Status  # noqa: E402
from husimix.results.steady_state import SteadyState as SteadyState  # noqa: E402
from husimix.results.storage import load as load  # noqa: E402
from husimix.solve.estimate import estimate as estimate  # noqa: E402
from husimix.solve.mesolve import mesolve as mesolve  # noqa: E402
from husimix.solve.scan import scan as scan  # noqa: E402
from husimix.solve.steadystate import steadystate as steadystate  # noqa: E402
from husimix.solve.stepping import Stepping as Stepping  # noqa: E402
