"""Equations of motion of random mixtures, made without the settings of a run."""

import jax
import jax.numpy as jnp

from dense import mixture_state
from husimix.mixture.contacts import contact_generator, contacts_of
from husimix.mixture.equations import Equations
from husimix.mixture.kernels import Scene
from husimix.mixture.layout import Layout
from husimix.mixture.metric import site_metric
from husimix.mixture.overlapping_terms import contact_site_sets, site_sets_of
from husimix.physics.products import SumOfProducts, sum_of_products


def random_mixture(seed, manifold, group, n_components):
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = jax.random.normal(k1, (n_components, group.n_sites, 3)) * 0.5
    return mixture_state(jax.random.normal(k2, (n_components,)), manifold.restored(coordinates), manifold, group)


def scene_of(products: SumOfProducts, layout: Layout, g, memory_limit=1 << 30) -> Scene:
    """What the kernels need, for any generator and layout."""
    return Scene(
        contacts=contacts_of(layout),
        generator=contact_generator(products, layout),
        site_sets=contact_site_sets(site_sets_of(products), len(products.matrices) + 1, layout),
        g=jnp.asarray(g),
        memory_limit=memory_limit,
    )


def equations_of(model, mixture, solver, metric="husimi"):
    g = site_metric(metric, mixture.basis)
    scene = scene_of(sum_of_products(model), Layout.of_group(mixture.group), g)
    return Equations(scene, mixture.manifold, solver)
