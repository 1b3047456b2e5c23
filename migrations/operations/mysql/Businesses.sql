CREATE TABLE IF NOT EXISTS `Businesses` (
    `id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `userId` BIGINT,
    `name` VARCHAR(255) NOT NULL,
    `description` TEXT,
    `sector` VARCHAR(100),
    `taxId` VARCHAR(50) UNIQUE,
    `address` VARCHAR(255),
    `phone` VARCHAR(50),
    `email` VARCHAR(255),
    `foundedOn` DATE,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
