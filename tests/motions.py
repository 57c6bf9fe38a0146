"""Equations of motion of random mixtures, made without the settings of a run."""

import jax
import jax.numpy as jnp

from husimix import Mixture
from husimix.phasespace.clusters import clusters_of, contact_clusters
from husimix.phasespace.contacts import contact_generator, contacts_of
from husimix.phasespace.layout import Layout
from husimix.phasespace.metric import site_metric
from husimix.physics.products import sum_of_products
from husimix.solve.tdvp import Motion


def random_mixture(seed, manifold, group, n_components):
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = jax.random.normal(k1, (n_components, group.n_sites, 3)) * 0.5
    return Mixture(jax.random.normal(k2, (n_components,)), manifold.restored(coordinates), manifold, group)


def motion_of(model, mixture, solver, metric="husimi", factored=False):
    g = jnp.asarray(site_metric(metric, mixture.basis))
    layout = Layout.of_group(mixture.group)
    products = sum_of_products(model)
    generator = contact_generator(products, layout)
    clusters = contact_clusters(clusters_of(products), len(products.matrices) + 1, layout)
    return Motion(generator, contacts_of(layout), g, mixture.manifold, solver, clusters, 1 << 30, factored)
