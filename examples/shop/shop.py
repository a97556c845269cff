"""The application: what a shop does to its database. Nothing in here knows of change data capture."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb


class Shop:
    """A shop whose data is in one PostgreSQL database."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection

    def add_product(self, sku: str, price: str, title: str = "", **columns: Any) -> str:
        """Put a product on sale and return its number."""
        self.connection.execute(
            "INSERT INTO products (sku, title, price, weight_kg, tags, picture)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                sku,
                title or sku.title(),
                Decimal(price),
                columns.get("weight_kg"),
                columns.get("tags", []),
                columns.get("picture"),
            ],
        )
        return sku

    def register(self, email: str, name: str = "Ada", address: Mapping[str, Any] | None = None) -> int:
        """Register a customer and return the new id."""
        return self._new_id(
            "INSERT INTO customers (email, name, address) VALUES (%s, %s, %s) RETURNING id",
            [email, name, None if address is None else Jsonb(dict(address))],
        )

    def place_order(self, customer: int, quantities: Mapping[str, int]) -> int:
        """Order products at today's prices, in one transaction, and return the order's id."""
        with self.connection.transaction():
            order = self._new_id("INSERT INTO orders (customer_id) VALUES (%s) RETURNING id", [customer])
            for line, (sku, quantity) in enumerate(quantities.items(), start=1):
                inserted = self.connection.execute(
                    "INSERT INTO order_lines SELECT %s, %s, sku, %s, price FROM products WHERE sku = %s",
                    [order, line, quantity, sku],
                )
                if inserted.rowcount == 0:
                    raise LookupError(f"there is no product {sku}")
        return order

    def set_status(self, order: int, status: str) -> None:
        """Move an order on."""
        self.connection.execute("UPDATE orders SET status = %s WHERE id = %s", [status, order])

    def change_price(self, sku: str, price: str) -> None:
        """Give a product another price; orders keep theirs."""
        self.connection.execute("UPDATE products SET price = %s WHERE sku = %s", [Decimal(price), sku])

    def renumber(self, sku: str, new_sku: str) -> None:
        """Give a product another number, in old orders too."""
        self.connection.execute("UPDATE products SET sku = %s WHERE sku = %s", [new_sku, sku])

    def erase(self, customer: int) -> None:
        """Forget a customer and all orders."""
        with self.connection.transaction():
            self.connection.execute("DELETE FROM orders WHERE customer_id = %s", [customer])
            self.connection.execute("DELETE FROM customers WHERE id = %s", [customer])

    def _new_id(self, statement: str, values: list[Any]) -> int:
        row = self.connection.execute(statement.encode(), values).fetchone()
        assert row is not None
        return int(row[0])
