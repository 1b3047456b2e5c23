CREATE TABLE IF NOT EXISTS `Finances` (
    `id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `businessId` BIGINT NOT NULL,
    `period` DATE,
    `income` DECIMAL(15,2),
    `expenses` DECIMAL(15,2),
    `currency` CHAR(3),
    `notes` TEXT,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
