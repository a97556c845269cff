CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled');

CREATE TABLE customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    address jsonb,
    newsletter boolean NOT NULL DEFAULT false,
    joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    sku text PRIMARY KEY,
    title text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    weight_kg double precision,
    tags text[] NOT NULL DEFAULT '{}',
    picture bytea
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference uuid NOT NULL DEFAULT gen_random_uuid(),
    customer_id int NOT NULL REFERENCES customers,
    status order_status NOT NULL DEFAULT 'placed',
    placed_at timestamptz NOT NULL DEFAULT now(),
    deliver_on date
);

CREATE TABLE order_lines (
    order_id bigint REFERENCES orders ON DELETE CASCADE,
    line smallint,
    sku text NOT NULL REFERENCES products ON UPDATE CASCADE,
    quantity int NOT NULL CHECK (quantity > 0),
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
