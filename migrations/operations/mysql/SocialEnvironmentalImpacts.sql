CREATE TABLE IF NOT EXISTS `SocialEnvironmentalImpacts` (
    `id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `businessId` BIGINT NOT NULL,
    `category` VARCHAR(100),
    `description` TEXT,
    `jobsCreated` INTEGER,
    `co2Reduced` DECIMAL(15,4),
    `certified` TINYINT(1),
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
